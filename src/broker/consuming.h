/* SPDX-License-Identifier: MIT */
/* The role of a broker's first connection: a channel for each consumer. Private to this room. */
#pragma once

#include "broker/thread.h"

extern const struct role consuming_role;
