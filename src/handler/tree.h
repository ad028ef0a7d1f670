/* SPDX-License-Identifier: MIT */
/* Which processes descend from which handler, as /proc tells. */
#pragma once

#include <dirent.h>
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

/* What tree_read and tree_signal need at a time beyond /proc itself: a file in it, and a pidfd. */
#define TREE_RESERVE 2

/* An open /proc, and descriptors that are kept back, so that processes can be found and killed when the daemon is out
 * of descriptors. */
struct tree_source {
	DIR *proc;                 /* owned; NULL: could not be opened so far */
	int reserve[TREE_RESERVE]; /* owned; -1: handed over, or could not be opened so far */
};

#define TREE_SOURCE_INIT ((struct tree_source){.reserve = {-1, -1}})

/* Opens what is not open: at first, and after a walk. What cannot be opened is tried again by the next call. */
void tree_source_fill(struct tree_source *s);
/* Hands the reserve over to what follows, as long as no other thread is faster. /proc is opened if it is not. */
void tree_source_drain(struct tree_source *s);
void tree_source_close(struct tree_source *s);

/* Reads /proc. What dies meanwhile may be missing, what is born may be. -errno if processes may be missing for another
 * reason: /proc cannot be opened or read, no memory, no descriptor. */
int tree_read(const struct tree_source *s, struct tree *ret);

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

/* Sends the signal if the process still is the one that started then. 0, -ESRCH if it is not, another -errno of
 * kill(2), or that of looking at it. */
int tree_signal(const struct tree_source *s, pid_t pid, uint64_t start, int signal);
