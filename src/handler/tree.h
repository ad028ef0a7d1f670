/* SPDX-License-Identifier: MIT */
/* Which processes descend from which handler, as /proc tells. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macro.h"

/* A process as it was when /proc was read. */
struct tree_process {
	pid_t pid;
	pid_t parent;
	pid_t group;
	pid_t session;
	uint64_t start; /* in clock ticks since boot: tells a process from a later one of the same pid */
	void *owner;    /* whose descendant it is; NULL: nobody's. Set by tree_own. */
};

/* All processes, by ascending pid. */
struct tree {
	struct tree_process *processes; /* owned, n of them */
	size_t n;
};

/* Reads /proc. What dies meanwhile may be missing, what is born may be. -ENOMEM, or -errno of opening /proc. */
int tree_read(struct tree *ret);

void tree_clear(struct tree *t);

static inline void tree_clear_cleanup(struct tree *t) {
	tree_clear(t);
}

/* The process of that pid, or NULL. Borrowed. */
struct tree_process *tree_find(const struct tree *t, pid_t pid);

/* Sets the owner of every process without one: that of its session's or its group's leader, as `owner_of` knows it
 * (NULL: it does not), or else its parent's. Owners set before the call are passed on to children as well. Sessions are
 * inherited only, so they find orphans too. */
void tree_own(struct tree *t, void *(*owner_of)(pid_t leader, void *userdata), void *userdata);

/* Sends the signal if the process still is the one that started then. 0, -ESRCH if it is not, or another -errno of
 * kill(2). */
int tree_signal(pid_t pid, uint64_t start, int signal);
