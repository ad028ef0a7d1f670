/* SPDX-License-Identifier: MIT */
#include "log_problems.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

static void log_problem(const struct config_problem *p, const char *text) {
	char line[16] = "";

	if (p->line > 0)
		(void)snprintf(line, sizeof(line), "%u", p->line);
	log_event(p->warning ? LOG_EVENT_CONFIGURATION_WARNING : LOG_EVENT_CONFIGURATION_REFUSED,
		  p->warning ? LOG_WARNING : LOG_ERR,
		  LOG_FIELDS(log_string("CONFIG_FILE", p->file), log_string("CONFIG_LINE", p->line > 0 ? line : NULL),
			     log_string("CONFIG_KEY", p->key), log_string("AMQP_REASON", p->text)),
		  "%s", text);
}

void log_problems(const struct config_problems *problems) {
	for (size_t i = 0; i < problems->n; i++) {
		CLEANUP(free) char *text = NULL;

		if (config_problem_format(&problems->items[i], &text) == 0)
			log_problem(&problems->items[i], text);
	}
}
