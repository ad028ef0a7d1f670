/* SPDX-License-Identifier: MIT */
#include "handler/executor.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "handler/confine.h"

/* Deadlines of handlers may be late by this much, so that many share a wake-up. */
#define DEADLINE_ACCURACY_USEC (20 * USEC_PER_MSEC)

static struct run **bucket_of(struct executor *e, pid_t pid) {
	return e->buckets + (size_t)pid % EXECUTOR_BUCKETS;
}

struct run *executor_find(struct executor *e, pid_t pid) {
	struct run *r = pid > 0 ? *bucket_of(e, pid) : NULL;

	while (r && r->pid != pid)
		r = r->same_bucket;
	return r;
}

void executor_add(struct executor *e, struct run *r) {
	struct run **bucket = bucket_of(e, r->pid);

	r->same_bucket = *bucket;
	*bucket = r;
	list_append(&e->runs, &r->node);
}

void executor_forget(struct run *r) {
	struct run **at;

	if (!list_is_linked(&r->node))
		return;
	for (at = bucket_of(r->executor, r->pid); *at != r; at = &(*at)->same_bucket)
		assert(*at);
	*at = r->same_bucket;
	list_remove(&r->node);
}

int executor_watch(struct run_stream *s) {
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};

	return epoll_ctl(s->run->executor->epoll_fd, EPOLL_CTL_ADD, s->fd, &event) < 0 ? -errno : 0;
}

static void forget_events(const struct run_stream *s) {
	struct executor *e = s->run->executor;

	for (int i = 0; i < e->n_events; i++)
		if (e->events[i].data.ptr == s)
			e->events[i].data.ptr = NULL;
}

/* No EPOLL_CTL_DEL: nobody else holds our end of the pipe, so closing it takes it out. What is left to do is for the
 * events that were fetched already. */
void executor_unwatch(struct run_stream *s) {
	forget_events(s);
}

int executor_watch_input(struct run_stream *s) {
	struct epoll_event event = {.events = EPOLLOUT, .data.ptr = s};

	return epoll_ctl(s->run->executor->epoll_fd, EPOLL_CTL_ADD, s->fd, &event) < 0 ? -errno : 0;
}

void executor_unwatch_input(struct run_stream *s) {
	(void)epoll_ctl(s->run->executor->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
	forget_events(s);
}

void executor_read_first(struct run_stream *s) {
	struct executor *e = s->run->executor;

	for (int i = 0; i < e->n_events; i++) {
		if (e->events[i].data.ptr != s)
			continue;
		e->events[i].data.ptr = NULL;
		run_read(s, e->events[i].events, false);
		return;
	}
}

int executor_arm(struct executor *e, uint64_t deadline_usec) {
	int r;

	if (deadline_usec >= e->armed_usec)
		return 0;
	r = sd_event_source_set_time(e->timer_source, deadline_usec);
	if (r >= 0)
		r = sd_event_source_set_enabled(e->timer_source, SD_EVENT_ONESHOT);
	if (r < 0)
		return r;
	e->armed_usec = deadline_usec;
	return 0;
}

void executor_signal_soon(struct run *r) {
	struct executor *e = r->executor;

	if (!list_is_linked(&r->step))
		list_append(&e->due, &r->step);
	/* Without memory for the event: at once. */
	if (sd_event_source_set_enabled(e->due_source, SD_EVENT_ONESHOT) < 0)
		kill_due(e);
}

static int on_due(sd_event_source *source, void *userdata) {
	kill_due(userdata);
	return 0;
}

/* The timer fires for the deadline that was the earliest when it was armed. That run may be gone, and so may be all of
 * them: then it stays off. */
static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
	struct executor *e = userdata;
	uint64_t now = clock_now_usec(), next = USEC_INFINITY;

	e->armed_usec = USEC_INFINITY;
	LIST_FOREACH (r, &e->runs, struct run, node) {
		if (r->deadline_usec <= now)
			run_expire(r);
		if (r->deadline_usec < next)
			next = r->deadline_usec;
	}
	return executor_arm(e, next);
}

static int on_output(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
	struct executor *e = userdata;
	int n = epoll_wait(e->epoll_fd, e->events, EXECUTOR_EVENTS, 0);

	e->n_events = n > 0 ? n : 0;
	for (int i = 0; i < e->n_events; i++) {
		struct run_stream *s = e->events[i].data.ptr;

		/* Once: a callback may look for what is left, and have it read first. */
		e->events[i].data.ptr = NULL;
		if (s && s == &s->run->input)
			s->run->callbacks->writable(s->run, s->run->userdata);
		else if (s)
			run_read(s, e->events[i].events, false);
	}
	e->n_events = 0;
	return 0;
}

/* The handler of that pid has ended and was not reaped yet. */
static bool is_zombie(pid_t pid) {
	siginfo_t info = {0};

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

/* Kills what was left behind by all handlers that have ended while they were being stopped, with one walk. */
static void sweep(struct executor *e) {
	LIST_FOREACH (r, &e->runs, struct run, node)
		if (run_is_stopping(r) && !r->swept && is_zombie(r->pid))
			r->swept = r->targeted = true;
	kill_targeted(e);
}

/* waitpid(2) of any child that has ended. The id of a handler, and so that of its group, can be given to somebody else
 * as soon as it is reaped: what it leaves behind in its group is killed before. */
static pid_t reap_next(struct executor *e, int *ret_status) {
	siginfo_t info = {0};
	const struct run *r;

	if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		return -1;
	if (info.si_pid == 0)
		return 0;
	r = executor_find(e, info.si_pid);
	if (r && run_is_stopping(r) && !r->swept)
		sweep(e);
	else if (r && !run_is_stopping(r) && !r->leaves)
		(void)kill(-r->pid, SIGKILL);
	return waitpid(info.si_pid, ret_status, WNOHANG);
}

/* One of our handlers has ended and was reaped: its pid says nothing any more. */
static void retire(struct executor *e, struct run *r, int wait_status) {
	executor_forget(r);
	list_remove(&r->step);
	/* Who is stopped leaves nothing, whatever is configured. */
	r->leaves = r->leaves && !run_is_stopping(r);
	if (r->leaves)
		e->strays.leave_some = true;
	else
		e->strays.kill_some = true;
	r->wait_status = wait_status;
	r->ended_usec = clock_now_usec();
	r->deadline_usec = USEC_INFINITY;
	run_set_state(r, RUN_STATE_REAPED);
	list_append(&e->reaped, &r->step);
}

/* First everything is reaped, then the ends are told: a callback may start another handler that ends at once, and that
 * one waits for the next turn of the loop. */
static int on_child(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
	struct executor *e = userdata;
	struct run *r;
	pid_t pid;
	int status;

	while ((pid = reap_next(e, &status)) > 0 || (pid < 0 && errno == EINTR)) {
		r = executor_find(e, pid);
		if (r)
			retire(e, r, status);
		else if (pid > 0)
			strays_reaped(&e->strays, pid);
	}
	strays_look(e);
	while ((r = LIST_FIRST(&e->reaped, struct run, step))) {
		list_remove(&r->step);
		run_finish(r);
	}
	return 0;
}

static int add_sources(struct executor *e) {
	int r;

	e->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (e->epoll_fd < 0)
		return -errno;
	r = sd_event_add_signal(e->event, &e->child_source, SIGCHLD, on_child, e);
	if (r >= 0)
		r = sd_event_add_io(e->event, &e->output_source, e->epoll_fd, EPOLLIN, on_output, e);
	if (r >= 0)
		r = sd_event_add_time(e->event, &e->timer_source, CLOCK_MONOTONIC, USEC_INFINITY,
				      DEADLINE_ACCURACY_USEC, on_timer, e);
	if (r >= 0)
		r = sd_event_source_set_enabled(e->timer_source, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_defer(e->event, &e->due_source, on_due, e);
	if (r >= 0)
		r = sd_event_source_set_enabled(e->due_source, SD_EVENT_OFF);
	return r < 0 ? r : 0;
}

int executor_new(sd_event *event, struct executor **ret) {
	CLEANUP(executor_free) struct executor *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->epoll_fd = -1;
	e->proc = TREE_SOURCE_INIT;
	e->armed_usec = USEC_INFINITY;
	e->event = sd_event_ref(event);
	list_init(&e->runs);
	list_init(&e->due);
	list_init(&e->reaped);
	strays_init(&e->strays);
	e->stray = run_new_stray(e);
	if (!e->stray)
		return -ENOMEM;
	r = add_sources(e);
	if (r < 0)
		return r;
	/* Orphans of handlers become our children instead of init's: so that they can be found, and reaped. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return -errno;
	tree_source_fill(&e->proc);
	strays_spare(e);
	*ret = TAKE(e);
	return 0;
}

int executor_protect(struct executor *e, const char *path) {
	int r = e->confine ? 0 : confine_new(&e->confine);

	return r < 0 ? r : confine_add(e->confine, path);
}

struct confine *executor_confine(const struct executor *e) {
	return e->confine;
}

struct executor *executor_free(struct executor *e) {
	if (!e)
		return NULL;
	/* It is no run of anybody: what was left behind by handlers that have ended meanwhile is killed with it. */
	e->strays.kill_some = e->stray != NULL;
	strays_look(e);
	run_free_stray(e->stray);
	strays_clear(&e->strays);
	assert(list_is_empty(&e->runs) && list_is_empty(&e->reaped));
	sd_event_source_disable_unref(e->due_source);
	sd_event_source_disable_unref(e->timer_source);
	sd_event_source_disable_unref(e->output_source);
	sd_event_source_disable_unref(e->child_source);
	fd_close(e->epoll_fd);
	tree_source_close(&e->proc);
	confine_free(e->confine);
	sd_event_unref(e->event);
	environment_clear(&e->environment);
	arguments_clear(&e->arguments);
	free(e);
	return NULL;
}
