/* SPDX-License-Identifier: MIT */
#include "broker/endpoint.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#include "base/clock.h"

/* Items handed to callbacks before the event loop gets its turn. */
#define BATCH_MAX 64
#define FREE_WAIT_USEC (2 * USEC_PER_SEC)
/* The same after a stop that was not over in time: a thread that was stuck in its socket has been freed, and leaves at
 * once; one that has not can be stuck for long. */
#define LEAVE_WAIT_USEC (50 * USEC_PER_MSEC)
#define STOP_ACCURACY_USEC (10 * USEC_PER_MSEC)

/* Owned by whoever called endpoint_new. */
struct endpoint {
	struct config *config; /* a reference */
	struct endpoint_callbacks callbacks;
	void *userdata;
	struct link *link; /* a reference */
	pthread_t thread;
	bool has_thread;
	sd_event_source *posted;              /* the mailbox is not empty; off while `pending` is not */
	sd_event_source *more;                /* `pending` is not empty */
	sd_event_source *stopping;            /* the timeout of the stop */
	struct mailbox_item *pending;         /* taken from the mailbox, not handed out yet */
	const struct config_address *address; /* of the last report; borrowed from config */
	bool stop_posted;
	bool stopped;            /* BROKER_STOPPED was reported */
	bool timed_out;          /* because the thread had not stopped in time */
	bool dispatching;        /* a callback runs */
	bool freed;              /* endpoint_free was called by a callback: the memory goes when it has returned */
	uint64_t shut_down_usec; /* the deadline over which endpoint_overdue_usec has shut the socket down */
};

static void report_stopped(struct endpoint *e, const char *reason) {
	const struct broker_report report = {.reason = reason, .address = e->address};

	if (e->stopped)
		return;
	e->stopped = true;
	e->stopping = sd_event_source_disable_unref(e->stopping);
	e->callbacks.state(BROKER_STOPPED, &report, e->userdata);
}

static void handle_state(struct endpoint *e, const struct event *event) {
	const struct broker_report report = {
		.reason = event->reason[0] ? event->reason : NULL,
		.retry_usec = event->retry_usec,
		.address = event->address,
		.refused = event->refused,
		.failure = event->failure,
	};

	e->address = event->address;
	if (event->broker_state == BROKER_STOPPED)
		report_stopped(e, NULL);
	else
		e->callbacks.state(event->broker_state, &report, e->userdata);
}

static void handle_item(struct endpoint *e, struct mailbox_item *item) {
	struct event *event = item->kind == ITEM_EVENT ? CONTAINER_OF(item, struct event, item) : NULL;

	if (e->stopped) {
		link_item_free(item);
	} else if (event && event->type == EVENT_BROKER_STATE) {
		handle_state(e, event);
		free(event);
	} else if (event && event->type == EVENT_BLOCKED) {
		e->callbacks.blocked(event->blocked, event->reason[0] ? event->reason : NULL, e->userdata);
		free(event);
	} else {
		e->callbacks.item(item, e->userdata);
	}
}

static void endpoint_release(struct endpoint *e) {
	link_unref(e->link);
	config_unref(e->config);
	free(e);
}

/* After endpoint_free: the owner goes first, for its configuration is kept by this. */
static void finish_free(struct endpoint *e) {
	e->callbacks.released(e->userdata);
	endpoint_release(e);
}

/* Hands out a batch of what is pending. */
static void dispatch(struct endpoint *e) {
	e->dispatching = true;
	for (unsigned i = 0; i < BATCH_MAX && e->pending; i++) {
		struct mailbox_item *item = e->pending;

		e->pending = item->next;
		handle_item(e, item);
	}
	e->dispatching = false;
	if (e->freed) {
		finish_free(e);
		return;
	}
	/* While something is pending the mailbox is left alone: its limit is what holds the thread back. */
	(void)sd_event_source_set_enabled(e->posted, e->pending ? SD_EVENT_OFF : SD_EVENT_ON);
	(void)sd_event_source_set_enabled(e->more, e->pending ? SD_EVENT_ON : SD_EVENT_OFF);
}

static int on_posted(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
	struct endpoint *e = userdata;

	if (!e->pending)
		e->pending = mailbox_take(e->link->to_main);
	dispatch(e);
	return 0;
}

static int on_more(sd_event_source *source, void *userdata) {
	dispatch(userdata);
	return 0;
}

static int on_stop_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
	struct endpoint *e = userdata;

	atomic_store(&e->link->stop_now, true);
	link_shutdown(e->link, false);
	e->timed_out = true;
	e->dispatching = true;
	report_stopped(e, "the connection could not be closed in time");
	e->dispatching = false;
	if (e->freed)
		finish_free(e);
	return 0;
}

static int add_sources(struct endpoint *e, sd_event *event) {
	int r = sd_event_add_io(event, &e->posted, mailbox_fd(e->link->to_main), EPOLLIN, on_posted, e);

	if (r >= 0)
		r = sd_event_add_defer(event, &e->more, on_more, e);
	if (r >= 0)
		r = sd_event_source_set_enabled(e->more, SD_EVENT_OFF);
	/* A deferred source counts as pending since it was made, and would go before everything else of its priority. */
	if (r >= 0)
		r = sd_event_source_set_priority(e->more, SD_EVENT_PRIORITY_NORMAL + 1);
	return r < 0 ? r : 0;
}

/* Tells the thread to stop; by force if its mailbox is full, for then it is stuck. */
static void post_stop(struct endpoint *e, uint64_t deadline_usec) {
	if (e->stop_posted)
		return;
	e->stop_posted = true;
	e->link->stop.deadline_usec = deadline_usec;
	if (mailbox_post(e->link->to_thread, &e->link->stop.item) < 0) {
		atomic_store(&e->link->stop_now, true);
		link_shutdown(e->link, false);
	}
	/* There is nothing yet that an orderly end could save. */
	link_shutdown(e->link, true);
}

static void end_thread(struct endpoint *e) {
	if (!e->has_thread)
		return;
	atomic_store(&e->link->stop_now, true);
	post_stop(e, 0);
	link_shutdown(e->link, false);
	if (link_wait_exited(e->link, e->timed_out ? LEAVE_WAIT_USEC : FREE_WAIT_USEC))
		(void)pthread_join(e->thread, NULL);
	else
		(void)pthread_detach(e->thread);
}

/* Stops everything that could call back, and drops what was not handed out. */
static void endpoint_end(struct endpoint *e) {
	e->posted = sd_event_source_disable_unref(e->posted);
	e->more = sd_event_source_disable_unref(e->more);
	e->stopping = sd_event_source_disable_unref(e->stopping);
	end_thread(e);
	while (e->pending) {
		struct mailbox_item *item = e->pending;

		e->pending = item->next;
		link_item_free(item);
	}
}

struct endpoint *endpoint_free(struct endpoint *e) {
	if (!e)
		return NULL;
	endpoint_end(e);
	e->freed = true;
	if (!e->dispatching)
		finish_free(e);
	return NULL;
}

int endpoint_new(sd_event *event, struct config *config, const struct config_broker *broker, const struct role *role,
		 size_t mailbox_limit, const struct endpoint_callbacks *callbacks, void *userdata,
		 struct endpoint **ret) {
	struct endpoint *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->config = config_ref(config);
	e->address = broker->addresses;
	e->callbacks = *callbacks;
	e->userdata = userdata;
	r = link_new(mailbox_limit, &e->link);
	if (r == 0)
		r = add_sources(e, event);
	if (r == 0)
		r = thread_start(e->link, config, broker, role, &e->thread);
	if (r < 0) {
		endpoint_end(e);
		endpoint_release(e);
		return r;
	}
	e->has_thread = true;
	*ret = e;
	return 0;
}

struct link *endpoint_link(struct endpoint *e) {
	return e->link;
}

bool endpoint_is_stopped(const struct endpoint *e) {
	return e->stopped;
}

int endpoint_post(struct endpoint *e, struct mailbox_item *item) {
	return e->stopped ? -ENOTCONN : mailbox_post(e->link->to_thread, item);
}

int endpoint_post_anyway(struct endpoint *e, struct mailbox_item *item) {
	if (e->stopped)
		return -ENOTCONN;
	mailbox_post_anyway(e->link->to_thread, item);
	return 0;
}

int endpoint_stop(struct endpoint *e, uint64_t timeout_usec) {
	sd_event_source *timer;
	int r;

	if (e->stopped)
		return 0;
	r = sd_event_add_time_relative(sd_event_source_get_event(e->posted), &timer, CLOCK_MONOTONIC, timeout_usec,
				       STOP_ACCURACY_USEC, on_stop_timeout, e);
	if (r < 0)
		return r;
	(void)sd_event_source_disable_unref(e->stopping);
	e->stopping = timer;
	/* The thread gives up a little earlier, so that it is the one to say that it has stopped. */
	post_stop(e, clock_add_usec(clock_now_usec(), timeout_usec - timeout_usec / 8));
	return 0;
}

uint64_t endpoint_overdue_usec(struct endpoint *e, uint64_t now_usec) {
	uint64_t deadline = atomic_load(&e->link->deadline_usec);

	if (deadline == 0 || now_usec <= deadline)
		return 0;
	if (e->shut_down_usec != deadline) {
		e->shut_down_usec = deadline;
		link_unstick(e->link);
	}
	return now_usec - deadline;
}
