/* SPDX-License-Identifier: MIT */
/* Moves dead letters out of a queue: each is taken, published anew, and acknowledged when the broker has confirmed
 * that, not before. So it is never nowhere; whatever ends the tool between the two leaves it in both queues.
 *
 * What is not moved (it is not meant, nobody would get it, the broker refuses it) stays unacknowledged until the end,
 * and then goes back to its old place with all others at once: given back earlier it would be the next one to be taken.
 * Nothing of it is kept here meanwhile. */
#pragma once

#include "ctl/filter.h"
#include "ctl/letter.h"
#include "ctl/session.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* So many are published and not yet confirmed, at most; and so many may be in both queues if the tool is killed. */
#define REPLAY_WINDOW 64
/* Beyond these the destinations are counted together. */
#define REPLAY_DESTINATIONS_MAX 20

struct strbuf;

/* All borrowed. */
struct replay_options {
	const char *queue;
	const char *to_queue;    /* NULL, as exchange: where each one came from */
	const char *exchange;    /* NULL: the default exchange */
	const char *routing_key; /* for `exchange`; NULL: the one with which it was published first */
	const char *user;        /* who publishes; "": unknown */
	const struct filter *filter;
	uint64_t now_sec;      /* since 1970, for the filter: the same for a rehearsal and what is asked for after it */
	uint64_t count;        /* as many at most */
	uint64_t there;        /* among as many messages at most, and not more than there are at the beginning */
	uint64_t timeout_usec; /* for a confirm */
	bool dry_run;          /* only looks */
	/* Called for each one that is, or would be, replayed, before that: its number in the queue. 0 or -errno. May be
	 * NULL. */
	int (*chosen)(uint64_t n, const struct message *m, const struct letter *l, void *userdata);
	void *userdata;
};

struct replay_destination {
	char *name; /* owned; printable: queue "orders" */
	uint64_t n;
};

/* What became of the messages. */
struct replay_result {
	uint64_t there;   /* in the queue at the beginning */
	uint64_t taken;   /* looked at */
	uint64_t done;    /* replayed; in a dry run: would be */
	uint64_t other;   /* not meant */
	uint64_t beyond;  /* more than were wanted */
	uint64_t failed;  /* meant, but left where they were: each told, up to a number */
	uint64_t unknown; /* published, but not known to be confirmed: may be in both queues */
	bool interrupted;
	bool counted; /* the queue counts deliveries: of what was left, too */
	struct replay_destination destinations[REPLAY_DESTINATIONS_MAX + 1]; /* the last one: all others */
	size_t n_destinations;
};

void replay_result_clear(struct replay_result *r);

static inline void replay_result_clear_cleanup(struct replay_result *r) {
	replay_result_clear(r);
}

/* Does it. Returns the exit status, after complaints if it is not 0; `ret` is filled in any case. */
int replay_run(struct session *s, const struct replay_options *o, struct replay_result *ret);

/* Appends the result in words. */
void replay_tell(const struct replay_result *r, bool dry_run, struct strbuf *b);
