/* SPDX-License-Identifier: MIT */
/* The role of a broker's second connection: a channel that declares delay queues, and a lane for each kind of publication
 * of each queue. Private to this room. */
#pragma once

#include "broker/thread.h"

extern const struct role publishing_role;
