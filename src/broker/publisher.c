/* SPDX-License-Identifier: MIT */
#include "broker/publisher.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/endpoint.h"
#include "broker/job.h"
#include "broker/publishing.h"

/* Room in the mailboxes for what has to do with no lane, and for each user of a lane: of each message in hand, whose
 * number the 16 bits of a prefetch bound, it has one publication under way at most, and of those of an ended epoch each
 * once again. What is there was made by the main thread, which waits for it: a narrower limit would save nothing. */
#define MAILBOX_MIN 64
#define USER_ROOM (2 * (size_t)UINT16_MAX)

/* Owned by whoever called publisher_new. */
struct publisher {
	struct publisher_callbacks callbacks;
	void *userdata;
	struct endpoint *endpoint; /* owned */
	struct list under_way;     /* owned: publications that the thread has the jobs of */
	uint32_t n_users;
	uint32_t users[PUBLISHER_LANES_MAX]; /* by lane: how many have it; n_users of all of them */
	bool stopping; /* publisher_stop was called */
	bool freed;    /* publisher_free was called by a callback: the memory goes when it has returned */
};

static const char *const result_names[] = {
	[PUBLISH_CONFIRMED] = "confirmed",
	[PUBLISH_RETURNED] = "returned",
	[PUBLISH_REFUSED] = "refused",
	[PUBLISH_FAILED] = "failed",
	[PUBLISH_UNCONFIRMED] = "unconfirmed",
};

const char *publish_result_to_string(enum publish_result r) {
	return (size_t)r < ARRAY_SIZE(result_names) ? result_names[r] : "unknown";
}

int publication_new(struct publication **ret) {
	struct publication *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	r = job_new(&p->job);
	if (r < 0) {
		free(p);
		return r;
	}
	list_init(&p->node);
	*ret = p;
	return 0;
}

struct publication *publication_free(struct publication *p) {
	if (p) {
		message_free(p->message);
		free(p->exchange);
		free(p->routing_key);
		free(p->delay_target);
		free(p->reason);
		job_free(p->job);
		free(p);
	}
	return NULL;
}

/* Those that the thread still has: it was stuck, and what it did with them is unknown. */
static void give_up(struct publisher *p) {
	while (!p->freed && !list_is_empty(&p->under_way)) {
		struct publication *pub = LIST_FIRST(&p->under_way, struct publication, node);

		list_remove(&pub->node);
		pub->result = PUBLISH_UNCONFIRMED;
		pub->reason = strdup("the connection could not be closed in time");
		pub->done(pub, pub->userdata);
	}
}

static void on_state(enum broker_state state, const struct broker_report *report, void *userdata) {
	struct publisher *p = userdata;

	if (state == BROKER_STOPPED)
		give_up(p);
	if (!p->freed)
		p->callbacks.state(p, state, report, p->userdata);
}

static void on_blocked(bool blocked, const char *reason, void *userdata) {
	struct publisher *p = userdata;

	if (p->callbacks.blocked)
		p->callbacks.blocked(p, blocked, reason, p->userdata);
}

static void on_item(struct mailbox_item *item, void *userdata) {
	struct job *j = CONTAINER_OF(item, struct job, item);
	struct publication *pub = j->publication;

	job_unload(j, pub);
	pub->job = j;
	list_remove(&pub->node);
	pub->done(pub, pub->userdata);
}

static void publisher_release(void *userdata) {
	struct publisher *p = userdata;

	LIST_FOREACH(pub, &p->under_way, struct publication, node) {
		list_remove(&pub->node);
		publication_free(pub);
	}
	free(p);
}

static const struct endpoint_callbacks endpoint_callbacks = {
	.state = on_state,
	.blocked = on_blocked,
	.item = on_item,
	.released = publisher_release,
};

int publisher_new(sd_event *event, struct config *config, const struct config_broker *broker,
		  const struct publisher_callbacks *callbacks, void *userdata, struct publisher **ret) {
	struct publisher *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->callbacks = *callbacks;
	p->userdata = userdata;
	list_init(&p->under_way);
	r = endpoint_new(event, config, broker, &publishing_role, MAILBOX_MIN, &endpoint_callbacks, p, &p->endpoint);
	if (r < 0) {
		publisher_release(p);
		return r;
	}
	*ret = p;
	return 0;
}

struct publisher *publisher_free(struct publisher *p) {
	if (p) {
		p->freed = true;
		endpoint_free(p->endpoint);
	}
	return NULL;
}

static void set_n_users(struct publisher *p, uint32_t n) {
	p->n_users = n;
	link_set_limit(endpoint_link(p->endpoint), MAILBOX_MIN + n * USER_ROOM);
}

uint32_t publisher_add_lane(struct publisher *p) {
	uint32_t lane = 0;

	for (uint32_t i = 1; i < PUBLISHER_LANES_MAX && p->users[lane] > 0; i++) {
		if (p->users[i] < p->users[lane])
			lane = i;
	}
	p->users[lane]++;
	set_n_users(p, p->n_users + 1);
	return lane;
}

void publisher_free_lane(struct publisher *p, uint32_t lane) {
	assert(lane < PUBLISHER_LANES_MAX && p->users[lane] > 0);
	p->users[lane]--;
	set_n_users(p, p->n_users - 1);
}

int publisher_publish(struct publisher *p, struct publication *pub) {
	struct job *j = pub->job;
	int r;

	assert(pub->lane < PUBLISHER_LANES_MAX && p->users[pub->lane] > 0);
	assert(pub->message && pub->exchange && pub->routing_key && pub->done);
	assert(pub->delay_usec == 0 || pub->delay_target);
	if (p->stopping)
		return -ENOTCONN;
	job_load(j, pub);
	j->item.kind = ITEM_JOB;
	r = endpoint_post(p->endpoint, &j->item);
	if (r < 0) {
		job_unload(j, pub);
		/* The thread is stuck, and this is what frees it. */
		if (r == -ENOBUFS)
			link_unstick(endpoint_link(p->endpoint));
		return r;
	}
	pub->job = NULL;
	list_append(&p->under_way, &pub->node);
	return 0;
}

int publisher_stop(struct publisher *p, uint64_t timeout_usec) {
	p->stopping = true;
	return endpoint_stop(p->endpoint, timeout_usec);
}

uint64_t publisher_overdue_usec(struct publisher *p, uint64_t now_usec) {
	return endpoint_overdue_usec(p->endpoint, now_usec);
}
