/* SPDX-License-Identifier: MIT */
#include "handler/strays.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "handler/executor.h"
#include "handler/tree.h"

void strays_init(struct strays *s) {
	char path[64];

	*s = (struct strays){0};
	/* Handlers are the main thread's, and orphans are given to the first thread of a process that lives. */
	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)syscall(SYS_gettid));
	s->children_fd = open(path, O_RDONLY | O_CLOEXEC);
}

void strays_clear(struct strays *s) {
	s->children_fd = fd_close(s->children_fd);
	free(s->found.entries);
	free(s->left.entries);
	free(s->ended.entries);
	*s = (struct strays){.children_fd = -1};
}

static int add(struct stray_list *l, const struct stray *stray) {
	if (l->n == l->n_allocated) {
		size_t more = l->n_allocated ? l->n_allocated * 2 : 16;
		struct stray *grown = reallocarray(l->entries, more, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		l->entries = grown;
		l->n_allocated = more;
	}
	l->entries[l->n++] = *stray;
	return 0;
}

static struct stray *find_left(const struct strays *s, pid_t pid) {
	for (size_t i = 0; i < s->left.n; i++)
		if (s->left.entries[i].pid == pid)
			return s->left.entries + i;
	return NULL;
}

void strays_reaped(struct strays *s, pid_t pid) {
	struct stray *left = find_left(s, pid);

	/* Its children are ours now, and are what it was. Without memory for whose they are, they are left alone. */
	if (!left || left->kind == STRAY_IMMUNE)
		s->kill_some = true;
	else if (left->kind == STRAY_LEFT || add(&s->ended, left) < 0)
		s->leave_some = true;
	if (left)
		*left = s->left.entries[--s->left.n];
}

/* Notes it if it is a stranger. Without memory for that it is seen at the next look. */
static void consider(struct executor *e, pid_t pid) {
	struct strays *s = &e->strays;

	if (!executor_find(e, pid) && !find_left(s, pid))
		(void)add(&s->found, &(struct stray){.pid = pid, .session = getsid(pid)});
}

/* The list of our children, numbers with a space after each. -errno of pread(2). */
static int read_list(struct executor *e) {
	char buf[4096];
	size_t have = 0;
	off_t offset = 0;
	ssize_t n;

	while ((n = pread(e->strays.children_fd, buf + have, sizeof(buf) - have, offset)) > 0) {
		char *start = buf, *space;

		offset += n;
		have += (size_t)n;
		while ((space = memchr(start, ' ', have - (size_t)(start - buf)))) {
			consider(e, (pid_t)strtol(start, NULL, 10));
			start = space + 1;
		}
		have -= (size_t)(start - buf);
		memmove(buf, start, have);
	}
	return n < 0 ? -errno : 0;
}

static int read_proc(struct executor *e) {
	CLEANUP(tree_clear) struct tree t = {0};
	pid_t self = getpid();
	int r;

	tree_source_drain(&e->proc);
	r = tree_read(&e->proc, &t);
	tree_source_fill(&e->proc);
	for (size_t i = 0; r == 0 && i < t.n; i++)
		if (t.processes[i].parent == self)
			consider(e, t.processes[i].pid);
	return r;
}

static void leave(struct strays *s, struct stray *stray, enum stray_kind kind) {
	stray->kind = kind;
	/* Without memory it would be taken for somebody else's later, and killed: it cannot be left alone then. */
	(void)add(&s->left, stray);
}

static void find(struct executor *e) {
	e->strays.found.n = 0;
	if (e->strays.children_fd < 0 || read_list(e) < 0)
		(void)read_proc(e);
}

void strays_spare(struct executor *e) {
	struct strays *s = &e->strays;

	find(e);
	for (size_t i = 0; i < s->found.n; i++)
		leave(s, s->found.entries + i, STRAY_INHERITED);
	s->found.n = 0;
}

/* Whether a handler that has ended in this turn, and whose descendants are to be killed, led that session. */
static bool was_led_to_kill(const struct executor *e, pid_t session) {
	LIST_FOREACH (r, &e->reaped, struct run, step)
		if (r->pid == session && !r->leaves)
			return true;
	return false;
}

/* Whether a child that was inherited, and has ended in this turn, was in that session, where no handler ever is. */
static bool was_inherited(const struct strays *s, pid_t session) {
	for (size_t i = 0; i < s->ended.n; i++)
		if (s->ended.entries[i].session == session)
			return true;
	return false;
}

/* Keeps in `found` only what is to be killed. */
static void tell_apart(struct executor *e) {
	struct strays *s = &e->strays;
	size_t kept = 0;

	for (size_t i = 0; i < s->found.n; i++) {
		struct stray *stray = s->found.entries + i;

		if (was_inherited(s, stray->session))
			leave(s, stray, STRAY_INHERITED);
		else if (s->kill_some && (!s->leave_some || was_led_to_kill(e, stray->session)))
			s->found.entries[kept++] = *stray;
		else
			leave(s, stray, s->leave_some ? STRAY_LEFT : STRAY_INHERITED);
	}
	s->found.n = kept;
}

void strays_own(const struct executor *e, struct tree *t) {
	const struct stray_list *found = &e->strays.found;

	for (size_t i = 0; i < found->n; i++) {
		struct tree_process *p = tree_find(t, found->entries[i].pid);

		if (p && p->parent == getpid())
			p->owner = e->stray;
	}
}

/* Said once, as it is not looked at again. */
static void give_up(struct strays *s, struct stray *stray, int error) {
	log_event(LOG_EVENT_HANDLER_UNSTOPPED, LOG_WARNING, LOG_FIELDS(log_string("AMQP_REASON", strerror(error))),
		  "a process that a handler has left behind cannot be killed, and is left alone, pid=%d: %s", (int)stray->pid,
		    strerror(error));
	leave(s, stray, STRAY_IMMUNE);
}

void strays_look(struct executor *e) {
	struct strays *s = &e->strays;

	if (!s->kill_some && !s->leave_some && s->ended.n == 0)
		return;
	find(e);
	if (s->leave_some || s->ended.n > 0)
		tell_apart(e);
	s->kill_some = s->leave_some = false;
	s->ended.n = 0;
	if (s->found.n == 0)
		return;
	e->stray->targeted = true;
	kill_targeted(e);
	/* Also when nothing could be looked for: they are our children, so that their ids are still theirs. What they had started
	 * themselves comes to us when they are gone. */
	for (size_t i = 0; i < s->found.n; i++)
		if (kill(s->found.entries[i].pid, SIGKILL) < 0)
			give_up(s, s->found.entries + i, errno);
	s->found.n = 0;
}
