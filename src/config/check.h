/* SPDX-License-Identifier: MIT */
/* What the files share that look at several keys together. `s` is a setting at whose line a problem is; NULL: the file
 * as a whole. */
#pragma once

#include "base/macro.h"
#include "config/config.h"
#include "config/keys.h"
#include "config/reader.h"
#include <libconfig.h>

/* The member of a group for the line of a problem; the group itself if it has none. */
const config_setting_t *check_member_or_group(const config_setting_t *group, const char *name);

/* A key in a group of a queue or broker, as it gives it itself; without a name the group. NULL: not given. */
const config_setting_t *check_own(const config_setting_t *element, const char *group, const char *name);

/* The same of a queue, or else among the defaults. NULL: nowhere. */
const config_setting_t *check_given(const struct reader *r, const config_setting_t *queue, const char *group,
				    const char *name);

/* The key of the group, if it was given and says something else than its default; else NULL. `base` is the section's
 * struct. */
const config_setting_t *check_set(const config_setting_t *group, enum section section, const char *name, const void *base);

/* The first such key of the group. NULL: there is none. */
const config_setting_t *check_first_set(const config_setting_t *group, enum section section, const void *base,
					const char **ret_name);

/* Note a problem or a warning with a key of a group, or with the group if name is NULL. */
void check_problem(struct reader *r, const config_setting_t *s, const char *group, const char *name, const char *format,
		   ...) PRINTF_LIKE(5, 6);
void check_warning(struct reader *r, const config_setting_t *s, const char *group, const char *name, const char *format,
		   ...) PRINTF_LIKE(5, 6);

struct check_duration {
	const char *name;
	uint64_t usec;
	const config_setting_t *at; /* NULL: not given */
};

/* Notes it if the one duration of a group, which is to be at most the other, is longer. */
void check_order(struct reader *r, const config_setting_t *s, const char *group, const struct check_duration *min,
		 const struct check_duration *max);

/* Checks delay and max_delay of a group of the queue. The default of the longest delay gives way to a delay that is
 * longer. */
void check_delays(struct reader *r, const config_setting_t *s, const char *group, uint64_t delay_usec,
		  uint64_t *max_delay_usec);

/* Notes that this element has the name of the earlier one. */
void check_duplicate(struct reader *r, const config_setting_t *s, const config_setting_t *earlier, const char *what);

/* The type of the queue, if it is declared with one, in whichever way; else NULL. */
const char *check_declared_type(const struct config_declare *d);

/* Gives keys that the file does not give the values that the queue's `compat` says. (check_compat.c) */
void check_compat(struct reader *r, const config_setting_t *s, struct config_queue *q);

/* Checks what the queue's handler is to be and to get, and what becomes of its output. (check_handler.c) */
void check_handler(struct reader *r, const config_setting_t *s, const struct config_queue *q);

/* Checks that no message can choose what the handler's command executes. (check_command.c) */
void check_command(struct reader *r, const config_setting_t *s, const struct config_handler *h);

/* Checks that the daemon may give the handler the user, group, nice value and limits that it is to have.
 * (check_privileges.c) */
void check_privileges(struct reader *r, const config_setting_t *s, const struct config_handler *h);

/* Fills in the defaults that depend on other keys, and checks outcomes, retry, dead_letter and breaker of the queue.
 * (check_outcomes.c) */
void check_outcomes(struct reader *r, const config_setting_t *s, struct config_queue *q);

/* Checks that the group that may use the control socket exists. `s` is the group `control`. (listen.c) */
void check_control(struct reader *r, const config_setting_t *s, const struct config_control *c);
