/* SPDX-License-Identifier: MIT */
#include "broker/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "base/fd.h"
#include "broker/channel.h"
#include "broker/job.h"
#include "broker/seat.h"

/* Time for a piece of work when there is no heartbeat to derive it from. */
#define WORK_USEC (60 * USEC_PER_SEC)

static struct link *link_free(struct link *l) {
	struct mailbox *mailboxes[] = {l->to_thread, l->to_main};

	for (size_t i = 0; i < ARRAY_SIZE(mailboxes); i++) {
		struct mailbox_item *item = mailboxes[i] ? mailbox_take(mailboxes[i]) : NULL;

		while (item) {
			struct mailbox_item *next = item->next;

			link_item_free(item);
			item = next;
		}
		mailbox_free(mailboxes[i]);
	}
	fd_close(l->fd);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	free(l);
	return NULL;
}

int link_new(size_t limit, struct link **ret) {
	struct link *l = calloc(1, sizeof(*l));
	pthread_condattr_t attr;
	int r;

	if (!l)
		return -ENOMEM;
	atomic_init(&l->refs, 1);
	l->fd = -1;
	atomic_init(&l->unstuck, false);
	l->wish.item.kind = ITEM_COMMAND;
	l->wish.type = COMMAND_WISH;
	l->stop.item.kind = ITEM_COMMAND;
	l->stop.type = COMMAND_STOP;
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->changed, &attr);
	pthread_condattr_destroy(&attr);
	r = mailbox_new(limit, &l->to_thread);
	if (r == 0)
		r = mailbox_new(limit, &l->to_main);
	if (r < 0) {
		link_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

struct link *link_ref(struct link *l) {
	atomic_fetch_add(&l->refs, 1);
	return l;
}

struct link *link_unref(struct link *l) {
	if (l && atomic_fetch_sub(&l->refs, 1) == 1)
		link_free(l);
	return NULL;
}

static void command_free(struct command *c) {
	if (c->type == COMMAND_ADD)
		channel_free(CONTAINER_OF(c, struct channel, add));
	else if (c->type == COMMAND_REMOVE)
		seat_unref(CONTAINER_OF(c, struct seat, remove));
}

void link_item_free(struct mailbox_item *item) {
	switch ((enum item_kind)item->kind) {
	case ITEM_SETTLE:
	case ITEM_MESSAGE:
	case ITEM_UNSETTLED:
		message_free(CONTAINER_OF(item, struct message, item));
		break;
	case ITEM_COMMAND:
		command_free(CONTAINER_OF(item, struct command, item));
		break;
	case ITEM_DEPTH:
		seat_unref(CONTAINER_OF(item, struct seat, depth.item));
		break;
	case ITEM_EVENT:
		free(CONTAINER_OF(item, struct event, item));
		break;
	case ITEM_JOB:
	case ITEM_DONE:
		job_free(CONTAINER_OF(item, struct job, item));
		break;
	}
}

void link_set_limit(struct link *l, size_t limit) {
	mailbox_set_limit(l->to_thread, limit);
	mailbox_set_limit(l->to_main, limit);
}

/* Under the lock. If the mailbox is full the thread has something to take out of it, and looks for wishes when it does. */
static void wake(struct link *l) {
	if (!l->wish_posted)
		l->wish_posted = mailbox_post(l->to_thread, &l->wish.item) == 0;
}

void link_wish(struct link *l, struct wish *w, unsigned prefetch) {
	pthread_mutex_lock(&l->lock);
	w->consume = prefetch > 0;
	w->prefetch = prefetch;
	w->cancels += prefetch == 0;
	atomic_store(&w->made, true);
	wake(l);
	pthread_mutex_unlock(&l->lock);
}

void link_withdraw_consume(struct link *l, struct wish *w) {
	pthread_mutex_lock(&l->lock);
	w->consume = false;
	pthread_mutex_unlock(&l->lock);
}

void link_wish_received(struct link *l) {
	pthread_mutex_lock(&l->lock);
	l->wish_posted = false;
	pthread_mutex_unlock(&l->lock);
}

bool link_take_wish(struct link *l, struct wish *w, struct wish *ret) {
	if (!atomic_load(&w->made))
		return false;
	pthread_mutex_lock(&l->lock);
	ret->cancels = w->cancels;
	ret->consume = w->consume;
	ret->prefetch = w->prefetch;
	w->cancels = 0;
	atomic_store(&w->made, false);
	pthread_mutex_unlock(&l->lock);
	return true;
}

void link_set_queue_interval(struct link *l, uint64_t usec) {
	pthread_mutex_lock(&l->lock);
	l->queue_interval_usec = usec;
	wake(l);
	pthread_mutex_unlock(&l->lock);
}

uint64_t link_queue_interval(struct link *l) {
	uint64_t usec;

	pthread_mutex_lock(&l->lock);
	usec = l->queue_interval_usec;
	pthread_mutex_unlock(&l->lock);
	return usec;
}

int link_set_socket(struct link *l, int fd, bool logging_in) {
	int copy = -1;

	if (fd >= 0) {
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (copy < 0)
			return -errno;
	}
	pthread_mutex_lock(&l->lock);
	fd_close(l->fd);
	l->fd = copy;
	l->logging_in = logging_in;
	pthread_mutex_unlock(&l->lock);
	return 0;
}

void link_set_logged_in(struct link *l) {
	pthread_mutex_lock(&l->lock);
	l->logging_in = false;
	pthread_mutex_unlock(&l->lock);
}

void link_shutdown(struct link *l, bool only_login) {
	pthread_mutex_lock(&l->lock);
	if (l->fd >= 0 && (l->logging_in || !only_login))
		(void)shutdown(l->fd, SHUT_RDWR);
	pthread_mutex_unlock(&l->lock);
}

void link_unstick(struct link *l) {
	pthread_mutex_lock(&l->lock);
	if (l->fd >= 0) {
		atomic_store(&l->unstuck, true);
		(void)shutdown(l->fd, SHUT_RDWR);
	}
	pthread_mutex_unlock(&l->lock);
}

bool link_was_unstuck(struct link *l) {
	return atomic_exchange(&l->unstuck, false);
}

void link_busy(struct link *l, uint64_t deadline_usec) {
	atomic_store(&l->deadline_usec, deadline_usec);
}

void link_busy_connected(struct link *l, unsigned heartbeat) {
	link_busy(l, clock_now_usec() + (heartbeat ? 2 * heartbeat * USEC_PER_SEC : WORK_USEC));
}

void link_idle(struct link *l) {
	atomic_store(&l->deadline_usec, 0);
}

void link_set_exited(struct link *l) {
	pthread_mutex_lock(&l->lock);
	l->exited = true;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
}

bool link_wait_exited(struct link *l, uint64_t timeout_usec) {
	uint64_t until = clock_now_usec() + timeout_usec;
	struct timespec ts = {.tv_sec = (time_t)(until / USEC_PER_SEC), .tv_nsec = (long)(until % USEC_PER_SEC) * 1000};
	bool exited;
	int r = 0;

	pthread_mutex_lock(&l->lock);
	while (!l->exited && r == 0)
		r = pthread_cond_timedwait(&l->changed, &l->lock, &ts);
	exited = l->exited;
	pthread_mutex_unlock(&l->lock);
	return exited;
}
