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

/* Part of an executor. */
struct strays {
	int children_fd; /* owned; /proc/self/task/TID/children of the main thread; -1: the kernel has none, /proc is walked */
	pid_t *found;	 /* owned; strangers that are about to be killed: n_found of them */
	size_t n_found;
	size_t n_found_allocated;
	pid_t *left; /* owned; strangers that are left alone: n_left of them. They are our children, so nobody else gets their ids. */
	size_t n_left;
	size_t n_left_allocated;
	/* Of this turn: children that have ended, by what becomes of those that they left behind. */
	bool kill_some;
	bool leave_some;
};

void strays_init(struct strays *s);
/* Leaves alone what is there before there was a handler: children of whoever became us by execve(2). */
void strays_spare(struct executor *e);
void strays_clear(struct strays *s);

/* A child that is no handler's has ended and was reaped. */
void strays_reaped(struct strays *s, pid_t pid);

/* After everything was reaped that has ended, and before its runs are told: kills what was left behind, or notes that it is to be
 * left alone. Where handlers of both kinds have ended in this very turn, their sessions tell what belongs to whom; what is in
 * neither session is left alone. */
void strays_look(struct executor *e);

/* Makes `e->stray` the owner of those that are about to be killed. */
void strays_own(const struct executor *e, struct tree *t);
