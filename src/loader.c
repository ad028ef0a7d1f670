/* SPDX-License-Identifier: MIT */
#include "loader.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"

/* What the two threads share; the last of them that lets go frees it. */
struct shared {
	atomic_uint references;
	char *path;  /* owned */
	int done_fd; /* owned; eventfd: wakes the main thread */
	atomic_bool complete; /* what follows was written, and is the main thread's */
	int result;
	struct config_problems problems;
	struct config *config; /* owned */
};

/* Owned by whoever called loader_new. */
struct loader {
	struct shared *shared; /* a reference */
	sd_event_source *source; /* owned */
	loader_done done;
	void *userdata;
};

static void shared_unref(struct shared *s) {
	if (atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel) > 1)
		return;
	config_problems_clear(&s->problems);
	config_unref(s->config);
	fd_close(s->done_fd);
	free(s->path);
	free(s);
}

static int shared_new(const char *path, struct shared **ret) {
	struct shared *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	atomic_init(&s->references, 1);
	atomic_init(&s->complete, false);
	s->path = strdup(path);
	s->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!s->path || s->done_fd < 0) {
		r = s->path ? -errno : -ENOMEM;
		shared_unref(s);
		return r;
	}
	*ret = s;
	return 0;
}

static void *loader_main(void *arg) {
	struct shared *s = arg;

	s->result = config_load(s->path, &s->problems, &s->config);
	atomic_store_explicit(&s->complete, true, memory_order_release);
	/* It has never been written to: there is room. */
	(void)!eventfd_write(s->done_fd, 1);
	shared_unref(s);
	return NULL;
}

static int on_done(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
	struct loader *l = userdata;
	struct shared *s = l->shared;

	if (!atomic_load_explicit(&s->complete, memory_order_acquire))
		return 0;
	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	/* The callback may free the loader. */
	atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed);
	l->done(s->result, &s->problems, s->config, l->userdata);
	shared_unref(s);
	return 0;
}

/* Detached: it ends by itself, and nobody waits for it. Signals are the main thread's. */
static int start(struct shared *s) {
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, before;
	int r;

	atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&thread, &attr, loader_main, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (r != 0)
		shared_unref(s);
	return -r;
}

int loader_new(sd_event *event, const char *path, loader_done done, void *userdata, struct loader **ret) {
	CLEANUP(loader_free) struct loader *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->done = done;
	l->userdata = userdata;
	r = shared_new(path, &l->shared);
	if (r < 0)
		return r;
	r = sd_event_add_io(event, &l->source, l->shared->done_fd, EPOLLIN, on_done, l);
	if (r < 0)
		return r;
	r = start(l->shared);
	if (r < 0)
		return r;
	*ret = TAKE(l);
	return 0;
}

struct loader *loader_free(struct loader *l) {
	if (!l)
		return NULL;
	sd_event_source_disable_unref(l->source);
	if (l->shared)
		shared_unref(l->shared);
	free(l);
	return NULL;
}
