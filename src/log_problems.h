/* SPDX-License-Identifier: MIT */
/* What is wrong with a configuration, in the log. */
#pragma once

#include "config/config.h"

/* One event for each, with CONFIG_FILE=, CONFIG_LINE=, CONFIG_KEY= and AMQP_REASON=. */
void log_problems(const struct config_problems *problems);
