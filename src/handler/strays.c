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
	free(s->found);
	free(s->left);
	*s = (struct strays){.children_fd = -1};
}

static int add(pid_t **pids, size_t *n, size_t *n_allocated, pid_t pid) {
	if (*n == *n_allocated) {
		size_t more = *n_allocated ? *n_allocated * 2 : 16;
		pid_t *grown = reallocarray(*pids, more, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		*pids = grown;
		*n_allocated = more;
	}
	(*pids)[(*n)++] = pid;
	return 0;
}

static bool is_left(const struct strays *s, pid_t pid) {
	for (size_t i = 0; i < s->n_left; i++)
		if (s->left[i] == pid)
			return true;
	return false;
}

void strays_reaped(struct strays *s, pid_t pid) {
	for (size_t i = 0; i < s->n_left; i++) {
		if (s->left[i] != pid)
			continue;
		s->left[i] = s->left[--s->n_left];
		/* Its children are ours now, and are left alone as it was. */
		s->leave_some = true;
		return;
	}
	s->kill_some = true;
}

/* Notes it if it is a stranger. Without memory for that it is seen at the next look. */
static void consider(struct executor *e, pid_t pid) {
	struct strays *s = &e->strays;

	if (!executor_find(e, pid) && !is_left(s, pid))
		(void)add(&s->found, &s->n_found, &s->n_found_allocated, pid);
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

static void leave(struct strays *s, pid_t pid) {
	/* Without memory it would be taken for somebody else's later, and killed: it cannot be left alone then. */
	(void)add(&s->left, &s->n_left, &s->n_left_allocated, pid);
}

static void find(struct executor *e) {
	e->strays.n_found = 0;
	if (e->strays.children_fd < 0 || read_list(e) < 0)
		(void)read_proc(e);
}

static void leave_found(struct strays *s) {
	for (size_t i = 0; i < s->n_found; i++)
		leave(s, s->found[i]);
	s->n_found = 0;
}

void strays_spare(struct executor *e) {
	find(e);
	leave_found(&e->strays);
}

/* Whether a handler that has ended in this turn, and whose descendants are to be killed, led that session. */
static bool was_led_to_kill(const struct executor *e, pid_t session) {
	LIST_FOREACH (r, &e->reaped, struct run, step)
		if (r->pid == session && !r->leaves)
			return true;
	return false;
}

/* Keeps in `found` only what belongs to a handler whose descendants are to be killed. */
static void tell_apart(struct executor *e) {
	CLEANUP(tree_clear) struct tree t = {0};
	struct strays *s = &e->strays;
	size_t kept = 0;
	int r;

	tree_source_drain(&e->proc);
	r = tree_read(&e->proc, &t);
	tree_source_fill(&e->proc);
	for (size_t i = 0; i < s->n_found; i++) {
		const struct tree_process *p = r == 0 ? tree_find(&t, s->found[i]) : NULL;

		if (p && was_led_to_kill(e, p->session))
			s->found[kept++] = s->found[i];
		else
			leave(s, s->found[i]);
	}
	s->n_found = kept;
}

void strays_own(const struct executor *e, struct tree *t) {
	for (size_t i = 0; i < e->strays.n_found; i++) {
		struct tree_process *p = tree_find(t, e->strays.found[i]);

		if (p && p->parent == getpid())
			p->owner = e->stray;
	}
}

void strays_look(struct executor *e) {
	struct strays *s = &e->strays;

	if (!s->kill_some && !s->leave_some)
		return;
	find(e);
	if (s->n_found > 0 && s->leave_some) {
		if (s->kill_some)
			tell_apart(e);
		else
			leave_found(s);
	}
	s->kill_some = s->leave_some = false;
	if (s->n_found == 0)
		return;
	e->stray->targeted = true;
	kill_targeted(e);
	/* Also when nothing could be looked for: they are our children, so that their ids are still theirs. What they had started
	 * themselves comes to us when they are gone. */
	for (size_t i = 0; i < s->n_found; i++)
		(void)kill(s->found[i], SIGKILL);
	s->n_found = 0;
}
