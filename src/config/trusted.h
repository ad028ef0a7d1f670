/* SPDX-License-Identifier: MIT */
/* Reading a file whose content is believed: only a regular file that nobody but root and the daemon's user can change.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct strbuf;

/* What was read; data is owned, has a NUL after its end and is wiped by trusted_clear, as it may hold passwords. */
struct trusted {
	char *data;
	size_t len;
	mode_t mode; /* permission bits */
};

/* Reads the whole file of at most `limit` bytes. It must be a regular file, owned by root or by the user we run as, and
 * not writable by everybody, or by a group other than root's or our own. -ENOMEM. Another -errno: `why` (appended to)
 * says what is wrong, without the path: "cannot be opened: No such file or directory". */
int trusted_read(const char *path, size_t limit, struct trusted *ret, struct strbuf *why);

/* Opens a directory that only root and the daemon's user can put files into, by the same rules. *ret_fd is the
 * caller's. -errno: `why` says what is wrong, likewise. */
int trusted_open_directory(const char *path, int *ret_fd, struct strbuf *why);

void trusted_clear(struct trusted *t);

static inline void trusted_clear_cleanup(struct trusted *t) {
	trusted_clear(t);
}
