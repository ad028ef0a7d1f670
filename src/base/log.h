/* SPDX-License-Identifier: MIT */
/* The daemon's log: to the journal with fields, or to stderr as plain lines. A writer thread does the writing, so that
 * a journal or a terminal that blocks never blocks the caller; what does not fit the queue in between is counted, and the
 * count is logged when there is room again. Safe from any thread, but by convention only the main thread logs. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <syslog.h> /* LOG_ERR ... LOG_DEBUG: the journal's and our priorities */
#include "base/log_event.h"
#include "base/macro.h"

enum log_target {
	LOG_TARGET_AUTO,    /* the journal if stderr is connected to it (JOURNAL_STREAM), else stderr */
	LOG_TARGET_STDERR,  /* plain lines with a time stamp */
	LOG_TARGET_JOURNAL, /* sd_journal_sendv */
};

/* A journal field: name in capitals (systemd.journal-fields(7)), value of size bytes, any content; value NULL: left out. */
struct log_field {
	const char *name;
	const void *value;
	size_t size;
};

/* A field whose value is a string, or NULL. */
static inline struct log_field log_string(const char *name, const char *value) {
	return (struct log_field){name, value, value ? strlen(value) : 0};
}

/* The arguments `fields` and `n_fields` of the functions below, from a list of fields. */
#define LOG_FIELDS(...)                                                                                                \
	((const struct log_field[]){__VA_ARGS__}), ARRAY_SIZE(((const struct log_field[]){__VA_ARGS__}))

/* Opens the log for messages of max_priority (LOG_ERR ... LOG_DEBUG) and more urgent ones, and starts the writer
 * thread. 0 or -errno. Until then, and after log_close, messages go straight to stderr. */
int log_open(enum log_target target, int max_priority);

/* Writes what is queued, for at most a second, and stops the writer. Does nothing if the log is not open. */
void log_close(void);

/* How many messages were dropped since the start of the process. */
uint64_t log_dropped_total(void);

/* True if a message of this priority would be written: for callers whose message is costly to make. */
int log_enabled(int priority);

/* Queues one message about an event. `format` makes its text, which must be one line of printable characters (escape
 * what comes from outside with strbuf_append_escaped). The fields, and the event's id as MESSAGE_ID=, go to the journal
 * only; the text must say all that matters. */
void log_event(enum log_event event, int priority, const struct log_field *fields, size_t n_fields, const char *format, ...)
	PRINTF_LIKE(5, 6);

/* The same for what is no event: lines that nobody needs to be told of, or to search for. */
void log_write(int priority, const struct log_field *fields, size_t n_fields, const char *format, ...)
	PRINTF_LIKE(4, 5);

#define log_error(...) log_write(LOG_ERR, NULL, 0, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, NULL, 0, __VA_ARGS__)
#define log_notice(...) log_write(LOG_NOTICE, NULL, 0, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, NULL, 0, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, NULL, 0, __VA_ARGS__)

/* "err", "warning", ... as systemd names priorities; NULL outside LOG_EMERG ... LOG_DEBUG. */
const char *log_priority_to_string(int priority);

/* The priority of a name ("info", "warning", "err", also "error") or of a digit; -EINVAL. */
int log_priority_from_string(const char *s);
