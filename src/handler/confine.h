/* SPDX-License-Identifier: MIT */
/* Keeps handlers that run as the daemon's own user from reading the files that its passwords and keys are in, by Landlock.
 *
 * Landlock can only allow: so reading is allowed for everything beside the way from "/" to each secret, entry by entry, and for
 * nothing else; whatever is not reading stays as it is. What comes into a directory on that way later (/etc/passwd is replaced,
 * not rewritten) could not be read, so the rules are made anew when such a directory has changed. A handler that has begun keeps
 * those that it began with. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/macro.h"

/* A directory with more entries than that is too much to list before a spawn: nothing is confined then. */
#define CONFINE_ENTRIES_MAX 10000

/* Owned by the executor. */
struct confine;

/* -ENOMEM. Nothing is kept from anybody so far. */
int confine_new(struct confine **ret);
struct confine *confine_free(struct confine *c);
DEFINE_CLEANUP(struct confine *, confine_free);

/* Keeps this path, too, from handlers: a file, or a directory with all that is in it, or what is not there yet; a relative one is taken
 * from the working directory. Harmless if it is kept already. -ENOMEM. */
int confine_add(struct confine *c, const char *path);

/* The ruleset as things are now, for spawn_plan.confinement: borrowed until the next call. -1: nothing is confined, because there
 * is no secret, or because that cannot be done (which is logged whenever it changes). Costs a look at each directory on the
 * way, and where one has changed two system calls per entry. 0, or -errno if descriptors or memory are missing. */
int confine_look(struct confine *c, int *ret_fd);

/* Whether what has been started since the last look would not be confined as it should be now: files may not be readable
 * that have come since. */
bool confine_is_stale(struct confine *c);

/* Counts the rulesets that confine_look has made; 0: nothing is confined now. */
unsigned confine_generation(const struct confine *c);

/* Whether the process has to give up gaining privileges by what it executes (no_new_privs) before it may be confined. */
bool confine_needs_no_new_privs(const struct confine *c);
