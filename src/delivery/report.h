/* SPDX-License-Identifier: MIT */
/* Logs what happens to messages: one line per settled message, and the lines that handlers write. */
#pragma once

#include "delivery/record.h"

/* Logs the line of record.h: info for an ack or an untried message, warning for everything else. */
void report_message(const struct record_input *in);

/* Logs what has happened to a message, as "queue=QUEUE tag=N " and a text that must be printable, with the message's fields. */
void report_event(enum log_event event, int priority, const char *queue, const struct message *m, const char *format, ...)
	PRINTF_LIKE(5, 6);

/* Logs a line of a handler's output, escaped, with the message's fields (NULL: a worker's that has none): stdout as info, stderr as notice. `cut`: the
 * line or the run's output was cut here. */
void report_output(const char *queue, const struct message *m, int pid, int stream, const char *text, size_t len, bool cut);

/* Logs that an operator has the handler stopped; `who`: printable. */
void report_killed(const char *queue, const struct message *m, int pid, const char *who);

/* Logs that something may live on of a handler that was stopped (run_result.incomplete). */
void report_incomplete(const char *queue, const struct message *m, int pid);

/* Logs what of a message could not be put into its handler's environment; nothing if `omissions` is NULL. */
void report_omissions(const char *queue, const struct message *m, const char *omissions);
