/* SPDX-License-Identifier: MIT */
/* What a message says about its own death: why it is among the dead letters, where it came from, and since when. From
 * the headers of the daemon's copies (message/marks.h) and from those of the broker (x-death). Whoever may publish can
 * write either. Pure but for memory. */
#pragma once

#include "message/message.h"
#include <stdbool.h>
#include <stdint.h>

struct strbuf;

enum letter_by {
	LETTER_NOBODY, /* nothing says that it is a dead letter */
	LETTER_DAEMON, /* amqp-execd has published it as one */
	LETTER_BROKER, /* the broker has dead-lettered it */
};

/* All borrowed from the message, NULL or 0 where nothing is known. */
struct letter {
	enum letter_by by;
	const struct text *queue;       /* where it died, and belongs back to */
	const struct text *exchange;    /* to which it was published first, */
	const struct text *routing_key; /* and with which key */
	const struct text
		*reason; /* "exit status 65"; of the broker: "rejected", "expired", "maxlen", "delivery_limit" */
	const struct text *host;
	const struct text *signal;
	const struct text *error; /* the last lines of stderr */
	const struct field *exit_status;
	uint64_t attempts;
	uint64_t first_sec; /* the first failure or death; since 1970 */
	uint64_t last_sec;  /* the last one */
	uint64_t count;     /* deliveries that a quorum queue has counted */
	bool counted;       /* it is in a queue that does so */
};

void letter_read(const struct message *m, struct letter *ret);

/* When it died; else when it was published, by its property timestamp. 0: unknown. */
uint64_t letter_time(const struct letter *l, const struct message *m);

/* The last line of what its handler wrote to stderr, that is not blank. Borrowed, not terminated; *ret_len is 0 if
 * there is none. */
const char *letter_last_line(const struct letter *l, size_t *ret_len);

/* Makes a dead letter new: takes out the headers that tell of attempts, failures and deaths, and those that would route
 * it to more queues (CC, BCC). `queue`: the queue that it will be put into through the default exchange; if it was
 * published another way first, headers tell amqp-execd so, which shows handlers the first exchange and routing key.
 * NULL: it goes another way. `user`: who publishes it; the property user_id of anybody else becomes a header, as the
 * broker refuses it. -ENOMEM: good for nothing any more. */
int letter_renew(struct message *m, const char *queue, const char *user);

const char *letter_by_to_string(enum letter_by by);
