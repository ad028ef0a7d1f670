/* SPDX-License-Identifier: MIT */
#include "broker/publishing.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "broker/declarer.h"
#include "broker/job.h"
#include "broker/lane.h"

/* Numbers of channels. */
#define DECLARER_CHANNEL 1
#define FIRST_LANE_CHANNEL 2
static_assert(FIRST_LANE_CHANNEL + PUBLISHER_LANES_MAX - 1 == BROKER_CONSUMERS_MAX,
	      "a consuming and a publishing connection have the same number of channels");

/* Owned by the thread. The lanes and the declarer live by a clock of their own, which stands still while the broker
 * does not read (connection.blocked) or nobody reads what it says (a backlog): in that time nothing falls due. */
struct publishing {
	struct connection *connection; /* borrowed */
	struct outbox *outbox;	       /* borrowed */
	struct declarer declarer;
	uint64_t timeout_usec; /* confirm_timeout */
	uint32_t n_lanes; /* for which there are channels on this connection, or the last one; 0: none, or unknown */
	struct list lanes;     /* owned: those that were ever used; the one that is served first in the next turn comes first */
	struct lane *by_number[PUBLISHER_LANES_MAX]; /* the same; NULL: not used yet */
	bool stopping;
	bool blocked;
	uint64_t blocked_usec; /* since when it is blocked; real time */
	uint64_t stood_usec;   /* for how long our clock has stood still so far */
};

/* From real time to ours, and back. */
static uint64_t own_time(const struct publishing *s, uint64_t now) {
	return (s->blocked ? s->blocked_usec : now) - s->stood_usec;
}

static uint64_t real_time(const struct publishing *s, uint64_t own) {
	return clock_add_usec(own, s->stood_usec);
}

static void publishing_free(void *self) {
	struct publishing *s = self;

	LIST_FOREACH(l, &s->lanes, struct lane, node) {
		list_remove(&l->node);
		lane_clear(l);
		free(l);
	}
	declarer_clear(&s->declarer);
	free(s);
}

static int publishing_new(struct connection *connection, struct outbox *outbox, const struct config_broker *broker,
			  void **ret) {
	struct publishing *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->connection = connection;
	s->outbox = outbox;
	s->timeout_usec = broker->confirm_timeout_usec;
	declarer_init(&s->declarer, connection, DECLARER_CHANNEL);
	list_init(&s->lanes);
	*ret = s;
	return 0;
}

/* What is published on a lane of which the broker has no channel goes by another one, if it has any. */
static uint32_t existing_number(const struct publishing *s, uint32_t number) {
	return s->n_lanes > 0 ? number % s->n_lanes : number;
}

/* The lane of this number, made if it has not been used yet. NULL: no memory. */
static struct lane *get_lane(struct publishing *s, uint32_t number) {
	struct lane *l = s->by_number[number];

	if (l)
		return l;
	l = malloc(sizeof(*l));
	if (!l)
		return NULL;
	lane_init(l, s->connection, s->outbox, &s->declarer, FIRST_LANE_CHANNEL + number, s->timeout_usec);
	list_append(&s->lanes, &l->node);
	s->by_number[number] = l;
	return l;
}

/* What waits to be sent on `from`, in the order in which it falls due. */
static void take_over(struct lane *l, struct lane *from) {
	LIST_FOREACH (j, &from->waiting, struct job, node) {
		struct list *at = &l->waiting;

		list_remove(&j->node);
		while (at->prev != &l->waiting && LIST_ENTRY(at->prev, struct job, node)->send_usec > j->send_usec)
			at = at->prev;
		list_insert_before(at, &j->node);
	}
}

static int publishing_up(void *self, uint64_t now) {
	struct publishing *s = self;
	unsigned max = s->connection->channel_max;

	/* Channels are opened when there is something to be published. */
	s->n_lanes = max < FIRST_LANE_CHANNEL ? 0 : max - FIRST_LANE_CHANNEL + 1;
	if (s->n_lanes > PUBLISHER_LANES_MAX)
		s->n_lanes = PUBLISHER_LANES_MAX;
	for (uint32_t i = s->n_lanes; s->n_lanes > 0 && i < PUBLISHER_LANES_MAX; i++) {
		struct lane *l = s->by_number[i] ? get_lane(s, existing_number(s, i)) : NULL;

		if (l)
			take_over(l, s->by_number[i]);
	}
	return 0;
}

/* What waits, of messages whose handlers were the last to end, is still sent while that is possible, and no longer. */
static void fail_waiting(struct publishing *s) {
	if (!s->stopping || (s->connection->up && !s->blocked))
		return;
	LIST_FOREACH(l, &s->lanes, struct lane, node)
		lane_stop(l);
}

static void publishing_stop(void *self) {
	struct publishing *s = self;

	s->stopping = true;
	fail_waiting(s);
}

static void publishing_down(void *self, const char *reason, uint64_t now) {
	struct publishing *s = self;

	LIST_FOREACH(l, &s->lanes, struct lane, node)
		lane_down(l, reason);
	declarer_down(&s->declarer);
	fail_waiting(s);
}

static int publishing_frame(void *self, const amqp_frame_t *frame, uint64_t now) {
	struct publishing *s = self;
	unsigned lane = frame->channel - FIRST_LANE_CHANNEL;

	if (frame->channel == DECLARER_CHANNEL)
		return declarer_frame(&s->declarer, frame, own_time(s, now));
	/* Nobody opened it: nothing that arrives on it concerns anybody. */
	if (lane >= PUBLISHER_LANES_MAX || !s->by_number[lane])
		return 0;
	return lane_frame(s->by_number[lane], frame, own_time(s, now));
}

static int publishing_item(void *self, struct mailbox_item *item, uint64_t now) {
	struct publishing *s = self;
	struct job *j = CONTAINER_OF(item, struct job, item);
	struct lane *l = s->stopping ? NULL : get_lane(s, existing_number(s, j->lane));

	if (l)
		lane_publish(l, j, own_time(s, now));
	else
		job_finish(j, s->outbox, PUBLISH_FAILED, s->stopping ? "the daemon stops" : "out of memory");
	return 0;
}

static int publishing_work(void *self, uint64_t now) {
	struct publishing *s = self;
	uint64_t own = own_time(s, now);
	struct lane *first = LIST_FIRST(&s->lanes, struct lane, node);
	int more = 0;
	int r;

	if (s->blocked)
		return 0;
	LIST_FOREACH(l, &s->lanes, struct lane, node) {
		r = lane_work(l, own);
		if (r < 0)
			return r;
		more |= r;
	}
	/* Each may fill what room there is in the socket: another one is the first each time. */
	if (first) {
		list_remove(&first->node);
		list_append(&s->lanes, &first->node);
	}
	/* After the lanes, which tell it what they need. */
	r = declarer_work(&s->declarer, own);
	return r < 0 ? r : more;
}

static void publishing_idle(void *self, uint64_t now) {
	struct publishing *s = self;

	LIST_FOREACH(l, &s->lanes, struct lane, node)
		(void)lane_expire(l, own_time(s, now));
}

static uint64_t publishing_next_usec(const void *self) {
	const struct publishing *s = self;
	uint64_t next = declarer_next_usec(&s->declarer);

	if (s->blocked)
		return USEC_INFINITY;
	LIST_FOREACH(l, &s->lanes, const struct lane, node) {
		uint64_t usec = lane_next_usec(l);

		if (usec < next)
			next = usec;
	}
	return real_time(s, next);
}

static bool publishing_wants_write(const void *self) {
	const struct publishing *s = self;

	if (s->blocked)
		return false;
	LIST_FOREACH(l, &s->lanes, const struct lane, node)
		if (l->wants_write)
			return true;
	return false;
}

static void publishing_postpone(void *self, uint64_t usec) {
	struct publishing *s = self;

	/* While it is blocked the clock stands still anyway. */
	if (!s->blocked)
		s->stood_usec += usec;
}

static void publishing_blocked(void *self, bool blocked, uint64_t now) {
	struct publishing *s = self;

	if (s->blocked && !blocked) {
		s->stood_usec += now - s->blocked_usec;
		declarer_renew(&s->declarer);
	}
	if (!s->blocked && blocked)
		s->blocked_usec = now;
	s->blocked = blocked;
	fail_waiting(s);
}

static bool publishing_unfinished(const void *self) {
	const struct publishing *s = self;

	LIST_FOREACH(l, &s->lanes, const struct lane, node)
		if (!lane_is_quiet(l))
			return true;
	return false;
}

const struct role publishing_role = {
	.publisher = true,
	.new = publishing_new,
	.free = publishing_free,
	.up = publishing_up,
	.down = publishing_down,
	.frame = publishing_frame,
	.item = publishing_item,
	.work = publishing_work,
	.idle = publishing_idle,
	.next_usec = publishing_next_usec,
	.wants_write = publishing_wants_write,
	.postpone = publishing_postpone,
	.blocked = publishing_blocked,
	.stop = publishing_stop,
	.unfinished = publishing_unfinished,
};
