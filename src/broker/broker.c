/* SPDX-License-Identifier: MIT */
#include "broker/broker.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#include "base/clock.h"
#include "broker/link.h"
#include "broker/thread.h"

/* Items handed to callbacks before the event loop gets its turn. */
#define BATCH_MAX 64
#define FREE_WAIT_USEC (2 * USEC_PER_SEC)
#define STOP_ACCURACY_USEC (10 * USEC_PER_MSEC)

/* Owned by its broker. */
struct consumer {
	struct broker *broker; /* borrowed */
	uint32_t id;
	struct consumer_callbacks callbacks;
	void *userdata;
};

/* Owned by whoever called broker_new. */
struct broker {
	struct config *config;              /* a reference */
	const struct config_broker *broker; /* borrowed from config */
	struct broker_callbacks callbacks;
	void *userdata;
	struct link *link; /* a reference */
	pthread_t thread;
	bool has_thread;
	sd_event_source *posted;      /* the mailbox is not empty; off while `pending` is not */
	sd_event_source *more;        /* `pending` is not empty */
	sd_event_source *stopping;    /* broker_stop's timeout */
	struct mailbox_item *pending; /* taken from the mailbox, not handed out yet */
	struct consumer **consumers;  /* owned, as they themselves; max_consumers pointers, n_consumers in use, by id */
	uint32_t n_consumers;
	uint32_t max_consumers;
	bool stop_posted;
	bool stopped;            /* BROKER_STOPPED was reported */
	bool dispatching;        /* a callback runs */
	bool freed;              /* broker_free was called by a callback: the memory goes when it has returned */
	uint64_t shut_down_usec; /* the deadline over which broker_overdue_usec has shut the socket down */
};

static const char *const broker_state_names[] = {
	[BROKER_CONNECTING] = "connecting",
	[BROKER_UP] = "up",
	[BROKER_WAITING] = "waiting",
	[BROKER_STOPPED] = "stopped",
};

static const char *const consumer_state_names[] = {
	[CONSUMER_IDLE] = "idle",
	[CONSUMER_CONSUMING] = "consuming",
	[CONSUMER_FAILED] = "failed",
};

const char *broker_state_to_string(enum broker_state s) {
	return (size_t)s < ARRAY_SIZE(broker_state_names) ? broker_state_names[s] : "unknown";
}

const char *consumer_state_to_string(enum consumer_state s) {
	return (size_t)s < ARRAY_SIZE(consumer_state_names) ? consumer_state_names[s] : "unknown";
}

static void report_stopped(struct broker *b, const char *reason) {
	const struct broker_report report = {.reason = reason};

	if (b->stopped)
		return;
	b->stopped = true;
	b->stopping = sd_event_source_disable_unref(b->stopping);
	b->callbacks.state(b, BROKER_STOPPED, &report, b->userdata);
}

static void handle_event(struct broker *b, const struct event *e) {
	const struct broker_report report = {.reason = e->reason[0] ? e->reason : NULL, .retry_usec = e->retry_usec};
	struct consumer *c = e->consumer < b->n_consumers ? b->consumers[e->consumer] : NULL;

	switch (e->type) {
	case EVENT_BROKER_STATE:
		if (e->broker_state == BROKER_STOPPED)
			report_stopped(b, NULL);
		else
			b->callbacks.state(b, e->broker_state, &report, b->userdata);
		break;
	case EVENT_BLOCKED:
		if (b->callbacks.blocked)
			b->callbacks.blocked(b, e->blocked, report.reason, b->userdata);
		break;
	case EVENT_CONSUMER_STATE:
		c->callbacks.state(e->consumer_state, &report, c->userdata);
		break;
	case EVENT_LOST:
		c->callbacks.lost(e->epoch, c->userdata);
		break;
	case EVENT_CANCELLED:
		c->callbacks.cancelled(c->userdata);
		break;
	}
}

static void handle_item(struct broker *b, struct mailbox_item *item) {
	if (b->stopped) {
		link_item_free(item);
	} else if (item->kind == ITEM_EVENT) {
		struct event *e = CONTAINER_OF(item, struct event, item);

		handle_event(b, e);
		free(e);
	} else {
		struct message *m = CONTAINER_OF(item, struct message, item);
		struct consumer *c = b->consumers[m->consumer];

		if (item->kind == ITEM_MESSAGE)
			c->callbacks.message(m, c->userdata);
		else
			c->callbacks.unsettled(m, c->userdata);
	}
}

static void broker_release(struct broker *b) {
	for (uint32_t i = 0; i < b->n_consumers; i++)
		free(b->consumers[i]);
	free(b->consumers);
	link_unref(b->link);
	config_unref(b->config);
	free(b);
}

/* Hands out a batch of what is pending. */
static void dispatch(struct broker *b) {
	b->dispatching = true;
	for (unsigned i = 0; i < BATCH_MAX && b->pending; i++) {
		struct mailbox_item *item = b->pending;

		b->pending = item->next;
		handle_item(b, item);
	}
	b->dispatching = false;
	if (b->freed) {
		broker_release(b);
		return;
	}
	/* While something is pending the mailbox is left alone: its limit is what holds the thread back. */
	(void)sd_event_source_set_enabled(b->posted, b->pending ? SD_EVENT_OFF : SD_EVENT_ON);
	(void)sd_event_source_set_enabled(b->more, b->pending ? SD_EVENT_ON : SD_EVENT_OFF);
}

static int on_posted(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
	struct broker *b = userdata;

	if (!b->pending)
		b->pending = mailbox_take(b->link->to_main);
	dispatch(b);
	return 0;
}

static int on_more(sd_event_source *source, void *userdata) {
	dispatch(userdata);
	return 0;
}

static int on_stop_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
	struct broker *b = userdata;

	atomic_store(&b->link->stop_now, true);
	link_shutdown(b->link, false);
	b->dispatching = true;
	report_stopped(b, "the connection could not be closed in time");
	b->dispatching = false;
	if (b->freed)
		broker_release(b);
	return 0;
}

static int add_sources(struct broker *b, sd_event *event) {
	int r = sd_event_add_io(event, &b->posted, mailbox_fd(b->link->to_main), EPOLLIN, on_posted, b);

	if (r >= 0)
		r = sd_event_add_defer(event, &b->more, on_more, b);
	if (r >= 0)
		r = sd_event_source_set_enabled(b->more, SD_EVENT_OFF);
	/* A deferred source counts as pending since it was made, and would go before everything else of its priority. */
	if (r >= 0)
		r = sd_event_source_set_priority(b->more, SD_EVENT_PRIORITY_NORMAL + 1);
	return r < 0 ? r : 0;
}

/* The mailboxes' limit. Messages under way are at most as many as the prefetch allows, those of an ended epoch once
 * again; the rest are events and wishes, a handful for each consumer. */
static size_t mailbox_limit(const struct config *config, const struct config_broker *broker, uint32_t *ret_queues) {
	size_t limit = 64;
	uint32_t queues = 0;

	for (size_t i = 0; i < config->n_queues; i++) {
		if (config->queues[i].broker != broker)
			continue;
		queues++;
		limit += 8 + 2 * (size_t)config->queues[i].prefetch;
	}
	*ret_queues = queues;
	return limit;
}

int broker_new(sd_event *event, struct config *config, const struct config_broker *broker,
	       const struct broker_callbacks *callbacks, void *userdata, struct broker **ret) {
	CLEANUP(broker_free) struct broker *b = calloc(1, sizeof(*b));
	size_t limit;
	int r;

	if (!b)
		return -ENOMEM;
	b->config = config_ref(config);
	b->broker = broker;
	b->callbacks = *callbacks;
	b->userdata = userdata;
	limit = mailbox_limit(config, broker, &b->max_consumers);
	b->consumers = calloc(b->max_consumers ? b->max_consumers : 1, sizeof(*b->consumers));
	if (!b->consumers)
		return -ENOMEM;
	r = link_new(limit, b->max_consumers, &b->link);
	if (r == 0)
		r = add_sources(b, event);
	if (r == 0)
		r = thread_start(b->link, config, broker, b->max_consumers, &b->thread);
	if (r < 0)
		return r;
	b->has_thread = true;
	*ret = TAKE(b);
	return 0;
}

/* Tells the thread to stop; by force if its mailbox is full, for then it is stuck. */
static void post_stop(struct broker *b, uint64_t deadline_usec) {
	if (b->stop_posted)
		return;
	b->stop_posted = true;
	b->link->stop.deadline_usec = deadline_usec;
	if (mailbox_post(b->link->to_thread, &b->link->stop.item) < 0) {
		atomic_store(&b->link->stop_now, true);
		link_shutdown(b->link, false);
	}
	/* There is nothing yet that an orderly end could save. */
	link_shutdown(b->link, true);
}

static void end_thread(struct broker *b) {
	if (!b->has_thread)
		return;
	atomic_store(&b->link->stop_now, true);
	post_stop(b, 0);
	link_shutdown(b->link, false);
	if (link_wait_exited(b->link, FREE_WAIT_USEC))
		(void)pthread_join(b->thread, NULL);
	else
		(void)pthread_detach(b->thread);
}

struct broker *broker_free(struct broker *b) {
	if (!b)
		return NULL;
	b->posted = sd_event_source_disable_unref(b->posted);
	b->more = sd_event_source_disable_unref(b->more);
	b->stopping = sd_event_source_disable_unref(b->stopping);
	end_thread(b);
	while (b->pending) {
		struct mailbox_item *item = b->pending;

		b->pending = item->next;
		link_item_free(item);
	}
	b->freed = true;
	if (!b->dispatching)
		broker_release(b);
	return NULL;
}

const struct config_broker *broker_config(const struct broker *b) {
	return b->broker;
}

static int post_command(struct broker *b, const struct command *command) {
	struct command *copy;
	int r;

	if (b->stopped)
		return -ENOTCONN;
	copy = malloc(sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	*copy = *command;
	copy->item.kind = ITEM_COMMAND;
	r = mailbox_post(b->link->to_thread, &copy->item);
	if (r < 0)
		free(copy);
	return r;
}

int broker_add_consumer(struct broker *b, const struct config_queue *queue, const struct consumer_callbacks *callbacks,
			void *userdata, struct consumer **ret) {
	struct consumer *c;
	int r;

	if (b->n_consumers >= b->max_consumers)
		return -ENOBUFS;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	*c = (struct consumer){.broker = b, .id = b->n_consumers, .callbacks = *callbacks, .userdata = userdata};
	r = post_command(b, &(struct command){.type = COMMAND_ADD, .consumer = c->id, .queue = queue});
	if (r < 0) {
		free(c);
		return r;
	}
	b->consumers[b->n_consumers++] = c;
	*ret = c;
	return 0;
}

static int make_wish(struct consumer *c, unsigned prefetch) {
	if (c->broker->stopped)
		return -ENOTCONN;
	link_wish(c->broker->link, c->id, prefetch);
	return 0;
}

int consumer_consume(struct consumer *c, unsigned prefetch) {
	assert(prefetch >= 1 && prefetch <= UINT16_MAX);
	return make_wish(c, prefetch);
}

int consumer_cancel(struct consumer *c) {
	return make_wish(c, 0);
}

int consumer_settle(struct consumer *c, struct message *m, enum verdict verdict) {
	int r;

	assert(verdict != VERDICT_NONE && m->consumer == c->id);
	if (c->broker->stopped) {
		message_free(m);
		return -ENOTCONN;
	}
	m->verdict = verdict;
	m->item.kind = ITEM_SETTLE;
	r = mailbox_post(c->broker->link->to_thread, &m->item);
	if (r < 0) {
		message_free(m);
		link_shutdown(c->broker->link, false);
	}
	return r;
}

int broker_stop(struct broker *b, uint64_t timeout_usec) {
	sd_event_source *timer;
	int r;

	if (b->stopped)
		return 0;
	r = sd_event_add_time_relative(sd_event_source_get_event(b->posted), &timer, CLOCK_MONOTONIC, timeout_usec,
				       STOP_ACCURACY_USEC, on_stop_timeout, b);
	if (r < 0)
		return r;
	(void)sd_event_source_disable_unref(b->stopping);
	b->stopping = timer;
	/* The thread gives up a little earlier, so that it is the one to say that it has stopped. */
	post_stop(b, clock_add_usec(clock_now_usec(), timeout_usec - timeout_usec / 8));
	return 0;
}

uint64_t broker_overdue_usec(struct broker *b, uint64_t now_usec) {
	uint64_t deadline = atomic_load(&b->link->deadline_usec);

	if (deadline == 0 || now_usec <= deadline)
		return 0;
	if (b->shut_down_usec != deadline) {
		b->shut_down_usec = deadline;
		link_shutdown(b->link, false);
	}
	return now_usec - deadline;
}
