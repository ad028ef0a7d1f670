/* SPDX-License-Identifier: MIT */
#include "base/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"

struct mailbox {
	pthread_mutex_t lock;	    /* guards the four below */
	struct mailbox_item *first; /* oldest */
	struct mailbox_item **last; /* where the next item is linked */
	size_t n;
	size_t limit;
	int fd; /* eventfd: readable while the queue is not empty */
};

int mailbox_new(size_t limit, struct mailbox **ret) {
	struct mailbox *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->fd < 0) {
		int r = -errno;

		free(m);
		return r;
	}
	pthread_mutex_init(&m->lock, NULL);
	m->last = &m->first;
	m->limit = limit;
	*ret = m;
	return 0;
}

struct mailbox *mailbox_free(struct mailbox *m) {
	if (m) {
		fd_close(m->fd);
		pthread_mutex_destroy(&m->lock);
		free(m);
	}
	return NULL;
}

/* Under the lock. */
static void append(struct mailbox *m, struct mailbox_item *item) {
	item->next = NULL;
	*m->last = item;
	m->last = &item->next;
	/* Signalled under the lock: a reader that takes in between would otherwise leave a stale signal, and
	 * one that takes nothing a missing one. The counter is 0 or 1, so the write cannot block or fail. */
	if (m->n++ == 0)
		(void)!write(m->fd, &(uint64_t){1}, sizeof(uint64_t));
}

int mailbox_post(struct mailbox *m, struct mailbox_item *item) {
	int r = -ENOBUFS;

	pthread_mutex_lock(&m->lock);
	if (m->n < m->limit) {
		append(m, item);
		r = 0;
	}
	pthread_mutex_unlock(&m->lock);
	return r;
}

void mailbox_post_anyway(struct mailbox *m, struct mailbox_item *item) {
	pthread_mutex_lock(&m->lock);
	append(m, item);
	pthread_mutex_unlock(&m->lock);
}

void mailbox_set_limit(struct mailbox *m, size_t limit) {
	pthread_mutex_lock(&m->lock);
	m->limit = limit;
	pthread_mutex_unlock(&m->lock);
}

struct mailbox_item *mailbox_take(struct mailbox *m) {
	struct mailbox_item *first;
	uint64_t count;

	pthread_mutex_lock(&m->lock);
	first = m->first;
	m->first = NULL;
	m->last = &m->first;
	if (m->n > 0)
		(void)!read(m->fd, &count, sizeof(count));
	m->n = 0;
	pthread_mutex_unlock(&m->lock);
	return first;
}

int mailbox_fd(const struct mailbox *m) {
	return m->fd;
}
