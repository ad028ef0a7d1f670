/* SPDX-License-Identifier: MIT */
/* What handlers leave behind. A handler is the subreaper of its descendants (prctl(2)), so that nothing leaves its tree as long as
 * it lives, whatever sessions and forks there are in between; when it has ended they become our children: strangers, as no run
 * knows them. So who has come with which end is known exactly, and costs one look at the list of our children per turn of the
 * loop in which a child has ended. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct executor;
struct tree;

enum stray_kind {
	STRAY_INHERITED, /* of whoever became us by execve(2), or left behind by such a one */
	STRAY_LEFT,	 /* of a handler whose descendants are left alone, or left behind by such a one */
	STRAY_IMMUNE,	 /* was to be killed, but runs as another user, so that we may not; what it leaves behind is to be killed */
};

/* A stranger. It is our child: as long as we have not waited for it nobody else gets its id. */
struct stray {
	pid_t pid;
	pid_t session;
	enum stray_kind kind; /* once it is left alone */
};

struct stray_list {
	struct stray *entries; /* owned; n of them */
	size_t n;
	size_t n_allocated;
};

/* Part of an executor. */
struct strays {
	int children_fd; /* owned; /proc/self/task/TID/children of the main thread; -1: the kernel has none, /proc is walked */
	struct stray_list found; /* about to be killed */
	struct stray_list left;	 /* left alone */
	/* Of this turn: children that have ended, by what becomes of those that they left behind. */
	bool kill_some;
	bool leave_some;
	struct stray_list ended; /* those that were inherited */
};

void strays_init(struct strays *s);
/* Leaves alone what is there before there was a handler: children of whoever became us by execve(2). */
void strays_spare(struct executor *e);
void strays_clear(struct strays *s);

/* A child that is no handler's has ended and was reaped. */
void strays_reaped(struct strays *s, pid_t pid);

/* After everything was reaped that has ended, and before its runs are told: kills what was left behind, or notes that it is to be
 * left alone. Where children of several kinds have ended in this very turn, their sessions tell what belongs to whom. What is in none
 * of these has left the session of a handler: it is left alone if one of these handlers leaves its descendants alone, else killed.
 * Whoever cannot be killed is left alone from then on, with a warning. */
void strays_look(struct executor *e);

/* Makes `e->stray` the owner of those that are about to be killed. */
void strays_own(const struct executor *e, struct tree *t);
