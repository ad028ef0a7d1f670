/* SPDX-License-Identifier: MIT */
/* What confine.c asks Landlock for: to read everything but some files. */
#pragma once

#include <stddef.h>

#include "base/macro.h"
#include "base/strbuf.h"

/* All paths are real ones: absolute, without links. */
struct confine_rules {
	char **denied; /* owned; n_denied of them */
	size_t n_denied;
	char **directories; /* owned; n_directories of them: all that lead to a denied one, "/" first */
	size_t n_directories;
};

void confine_rules_clear(struct confine_rules *r);

static inline void confine_rules_clear_cleanup(struct confine_rules *r) {
	confine_rules_clear(r);
}

/* Denies what the path leads to, or would lead to; nothing if not even its directory is there. -ENOMEM. */
int confine_rules_add(struct confine_rules *r, const char *path);

/* Finds the directories, after everything was added. -ENOMEM. */
int confine_rules_plan(struct confine_rules *r);

/* A new ruleset (landlock_create_ruleset(2)), the caller's. -ENOSYS: the kernel has no Landlock, or too old a one; -EOPNOTSUPP: a
 * directory cannot be listed, or has more than so many entries; both append the reason to `why`. Another -errno: no memory, no
 * descriptors. */
int confine_rules_make(const struct confine_rules *r, unsigned entries_max, struct strbuf *why, int *ret_fd);
