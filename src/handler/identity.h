/* SPDX-License-Identifier: MIT */
/* The user and the groups that a handler runs as. */
#pragma once

#include <stdbool.h>

#include "base/macro.h"
#include "handler/spawn.h"

struct identity {
	bool changes; /* it differs from the daemon's: ids have to be set */
	struct spawn_identity ids;
	char *name; /* owned; of the user; a number if nobody knows its name */
	char *home; /* owned; "/" if nobody knows it */
	gid_t *groups; /* owned; what ids.groups points to */
};

#define IDENTITY_INIT ((struct identity){0})

/* Looks up the user and the group of that name or number (NULL: the daemon's user; the user's group), as setpriv(1) and
 * systemd's User= and Group= do: a user brings its supplementary groups, a group alone brings none. A number need not be known to
 * anybody. Asks the system's user database (nsswitch.conf(5)), which may take as long as that takes. 0; -ESRCH: there is no such
 * user or group; another -errno of getpwnam_r(3); with `error` overwritten. */
int identity_resolve(const char *user, const char *group, struct identity *ret, struct spawn_error *error);

void identity_clear(struct identity *id);

static inline void identity_clear_cleanup(struct identity *id) {
	identity_clear(id);
}

/* The identity for a plan or a question: NULL if it is that of the daemon itself. Borrowed. */
const struct spawn_identity *identity_ids(const struct identity *id);

/* Whether this user (NULL: the daemon's) may do `mode` (R_OK, W_OK, X_OK) with the file or directory `path`, in `dir` if it is relative, by the mode
 * bits along its path. What else may allow or forbid it (access lists, security modules) only the attempt can tell. 0 or -errno,
 * in the terms of access(2). */
int identity_may(const struct spawn_identity *id, int dir, const char *path, int mode);
