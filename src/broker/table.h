/* SPDX-License-Identifier: MIT */
/* AMQP tables between the library's form and ours. Private to this room. */
#pragma once

#include "broker/amqp_library.h"
#include "message/field.h"

/* A copy that shares nothing with the library's memory. Values nested deeper than FIELD_DEPTH_MAX, and of kinds that we do not
 * know, become FIELD_VOID: they must not keep the message from being handled. -ENOMEM. */
int table_from_amqp(const amqp_table_t *from, struct table *ret);

/* The library's form for sending: its arrays are in `pool`, its texts point into `from`. -ENOMEM; -EINVAL for a name of more
 * than 255 bytes, -ELOOP when nested deeper than FIELD_DEPTH_MAX. */
int table_to_amqp(const struct table *from, amqp_pool_t *pool, amqp_table_t *ret);
