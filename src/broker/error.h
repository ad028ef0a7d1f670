/* SPDX-License-Identifier: MIT */
/* Errors of the library and of the broker in words that an operator understands, on one printable line. Private to this room. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include "broker/amqp_library.h"

/* What a negative status of the library means. Static. */
const char *error_from_status(int status);

/* What closed a channel or a connection: a hint in our words where there is one, then the broker's own text, escaped, into buf,
 * which is always terminated. */
void error_from_close(uint16_t code, const amqp_bytes_t *text, char *buf, size_t size);

/* What a basic.cancel by the broker means, which brings no reason. Static. */
const char *error_from_cancel(void);

/* Text of the broker's, escaped, into buf, which is always terminated. */
void error_format_text(const amqp_bytes_t *text, char *buf, size_t size);
