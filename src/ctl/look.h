/* SPDX-License-Identifier: MIT */
/* Messages as people and programs look at them: rows of a table, lines of JSON. Knows no broker. */
#pragma once

#include "base/macro.h"
#include "ctl/columns.h"
#include "ctl/letter.h"
#include "message/message.h"
#include <stddef.h>
#include <stdint.h>

struct strbuf;

#define LOOK_WHOLE_BODY UINT64_MAX

/* An empty table for look_row. -ENOMEM. */
int look_new(struct columns **ret);

/* Adds the message as number n, with so much of its body below it. -ENOMEM, an errno of mmap(2). */
int look_row(struct columns *c, uint64_t n, const struct message *m, const struct letter *l, uint64_t now_sec,
	     uint64_t body_max);

/* Appends the table, its rows cut to `width` columns of the terminal; 0: as long as they are. */
void look_append(const struct columns *c, unsigned width, bool colour, struct strbuf *b);

/* Appends the message as a line of JSON, with so much of its body, in the form that "publish --json-lines" reads; and
 * besides redelivered, body_size, body_truncated (true, if so), and death: null, or by ("amqp-execd", "broker"), queue,
 * exchange, routing_key, reason, attempts, exit_status, signal, stderr, host, first, last, each null if unknown.
 * -ENOMEM, an errno of mmap(2). */
int look_json(const struct message *m, const struct letter *l, uint64_t body_max, struct strbuf *b);

/* How many columns the terminal of stdout has; 0: it is none, or does not say. */
unsigned look_terminal_width(void);
