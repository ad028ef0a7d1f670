/* SPDX-License-Identifier: MIT */
#include "broker/publishing.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "broker/declarer.h"
#include "broker/job.h"
#include "broker/lane.h"

/* Numbers of channels. */
#define DECLARER_CHANNEL 1
#define FIRST_LANE_CHANNEL 2

/* Owned by the thread. The lanes and the declarer live by a clock of their own, which stands still while the broker
 * does not read (connection.blocked) or nobody reads what it says (a backlog): in that time nothing falls due. */
struct publishing {
	struct connection *connection; /* borrowed */
	struct outbox *outbox;	       /* borrowed */
	struct declarer declarer;
	struct lane *lanes; /* owned; n_lanes of them */
	uint32_t n_lanes;
	uint32_t first; /* the lane whose turn it is to be served first */
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

	for (uint32_t i = 0; i < s->n_lanes; i++)
		lane_clear(&s->lanes[i]);
	declarer_clear(&s->declarer);
	free(s->lanes);
	free(s);
}

static int publishing_new(struct connection *connection, struct outbox *outbox, struct config *config,
			  const struct config_broker *broker, uint32_t max_slots, void **ret) {
	struct publishing *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->connection = connection;
	s->outbox = outbox;
	declarer_init(&s->declarer, connection, DECLARER_CHANNEL);
	s->lanes = calloc(max_slots ? max_slots : 1, sizeof(*s->lanes));
	if (!s->lanes) {
		free(s);
		return -ENOMEM;
	}
	s->n_lanes = max_slots;
	for (uint32_t i = 0; i < max_slots; i++)
		lane_init(&s->lanes[i], connection, outbox, &s->declarer, FIRST_LANE_CHANNEL + i,
			  broker->confirm_timeout_usec);
	*ret = s;
	return 0;
}

static int publishing_up(void *self, uint64_t now) {
	/* Channels are opened when there is something to be published. */
	return 0;
}

/* What waits, of messages whose handlers were the last to end, is still sent while that is possible, and no longer. */
static void fail_waiting(struct publishing *s) {
	if (!s->stopping || (s->connection->up && !s->blocked))
		return;
	for (uint32_t i = 0; i < s->n_lanes; i++)
		lane_stop(&s->lanes[i]);
}

static void publishing_stop(void *self) {
	struct publishing *s = self;

	s->stopping = true;
	fail_waiting(s);
}

static void publishing_down(void *self, const char *reason, uint64_t now) {
	struct publishing *s = self;

	for (uint32_t i = 0; i < s->n_lanes; i++)
		lane_down(&s->lanes[i], reason);
	declarer_down(&s->declarer);
	fail_waiting(s);
}

static int publishing_frame(void *self, const amqp_frame_t *frame, uint64_t now) {
	struct publishing *s = self;
	unsigned lane = frame->channel - FIRST_LANE_CHANNEL;

	if (frame->channel == DECLARER_CHANNEL)
		return declarer_frame(&s->declarer, frame, own_time(s, now));
	/* Nobody opened it: nothing that arrives on it concerns anybody. */
	if (lane >= s->n_lanes)
		return 0;
	return lane_frame(&s->lanes[lane], frame, own_time(s, now));
}

static int publishing_item(void *self, struct mailbox_item *item, uint64_t now) {
	struct publishing *s = self;
	struct job *j = CONTAINER_OF(item, struct job, item);

	if (s->stopping)
		job_finish(j, s->outbox, PUBLISH_FAILED, "the daemon stops");
	else
		lane_publish(&s->lanes[j->lane], j, own_time(s, now));
	return 0;
}

static int publishing_work(void *self, uint64_t now) {
	struct publishing *s = self;
	uint64_t own = own_time(s, now);
	int more = 0;
	int r;

	if (s->blocked)
		return 0;
	/* Each may fill what room there is in the socket: another one is the first each time. */
	for (uint32_t i = 0; i < s->n_lanes; i++) {
		r = lane_work(&s->lanes[(s->first + i) % s->n_lanes], own);
		if (r < 0)
			return r;
		more |= r;
	}
	if (s->n_lanes > 0)
		s->first = (s->first + 1) % s->n_lanes;
	/* After the lanes, which tell it what they need. */
	r = declarer_work(&s->declarer, own);
	return r < 0 ? r : more;
}

static void publishing_idle(void *self, uint64_t now) {
	struct publishing *s = self;

	for (uint32_t i = 0; i < s->n_lanes; i++)
		(void)lane_expire(&s->lanes[i], own_time(s, now));
}

static uint64_t publishing_next_usec(const void *self) {
	const struct publishing *s = self;
	uint64_t next = declarer_next_usec(&s->declarer);

	if (s->blocked)
		return USEC_INFINITY;
	for (uint32_t i = 0; i < s->n_lanes; i++) {
		uint64_t usec = lane_next_usec(&s->lanes[i]);

		if (usec < next)
			next = usec;
	}
	return real_time(s, next);
}

static bool publishing_wants_write(const void *self) {
	const struct publishing *s = self;

	for (uint32_t i = 0; !s->blocked && i < s->n_lanes; i++)
		if (s->lanes[i].wants_write)
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

	for (uint32_t i = 0; i < s->n_lanes; i++)
		if (!lane_is_quiet(&s->lanes[i]))
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
