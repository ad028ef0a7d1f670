/* SPDX-License-Identifier: MIT */
/* Privileges of others, so that a configuration is judged the same whoever runs the tests. */
#pragma once

#include "config/privileges.h"

#define NO_HARD_LIMITS {[0 ... RLIM_NLIMITS - 1] = RLIM_INFINITY}

static const struct privileges nobodys_privileges = {.uid = 65534, .gid = 65534, .hard_limits = NO_HARD_LIMITS};

static const struct privileges __attribute__((unused)) roots_privileges = {
	.may_set_user = true, .may_set_groups = true, .may_be_nice = true, .may_exceed_limits = true, .least_nice = -20,
	.hard_limits = NO_HARD_LIMITS};
