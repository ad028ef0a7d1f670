/* SPDX-License-Identifier: MIT */
/* Listening sockets: handed over by systemd, of a path, or of an address. */
#pragma once

#include "base/macro.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What systemd has handed over (sd_listen_fds(3)), by the FileDescriptorName= of its socket units. */
struct listen_inherited {
	int control;         /* owned; a listening Unix stream socket of the name "control"; -1: none */
	gid_t control_group; /* of its file */
	int *monitor;        /* owned, n_monitor of them, owned too; listening TCP sockets of the name "monitor" */
	size_t n_monitor;
};

#define LISTEN_INHERITED_INIT ((struct listen_inherited){.control = -1})

/* Takes them over; the variables that announced them are removed from the environment. What is not expected is closed,
 * with a warning in the log. To be called once, before other descriptors are opened. 0 or -errno. */
int listen_inherit(struct listen_inherited *ret);

/* Closes what is still there; TAKE_FD what is not to be closed. */
void listen_inherited_clear(struct listen_inherited *in);

/* A Unix socket that this process has made. */
struct listen_unix {
	int fd;           /* owned; -1 once it was handed on */
	char *path;       /* owned; where it belongs */
	char *temporary;  /* owned; where it is until it is published; NULL: it was */
	char *group_name; /* owned; as it was asked for; NULL: the daemon's own */
	dev_t dev;        /* of the file, to know it by */
	ino_t ino;
	gid_t group; /* of the file */
};

/* Makes a socket for that absolute path and listens on it, under another name in the same folder until it is published:
 * what is at the path is not touched. The file has mode 0660 and that group (name or number; NULL: the daemon's own).
 * What the path may have already is one of this process (`own`; NULL: none), or a socket on which nobody listens.
 * Errors, with why in words in *ret_why (to be freed; NULL: no memory): -EADDRINUSE: a process answers there; -EEXIST:
 * there is a file of another kind; -ESRCH: no such group; -EPERM, -EINVAL: not a group that the daemon can give it to;
 * -ENAMETOOLONG; another -errno. */
int listen_unix_new(const char *path, const char *group, const struct listen_unix *own, struct listen_unix **ret,
		    char **ret_why);

/* Moves the file to its path, in place of that of `own` or of a socket on which nobody listens, and of nothing else.
 * Errors as above: then it is as it was before. */
int listen_unix_publish(struct listen_unix *u, const struct listen_unix *own, char **ret_why);

/* Whether it is what these ask for, and can still be reached: the file at the path is its own. */
bool listen_unix_is(const struct listen_unix *u, const char *path, const char *group);

/* Removes the file, if it still is this socket's, and closes the descriptor. NULL-safe, returns NULL. */
struct listen_unix *listen_unix_free(struct listen_unix *u);
DEFINE_CLEANUP(struct listen_unix *, listen_unix_free);

/* Listens on a TCP port of that numeric address: IPv4; IPv6, which does not include IPv4; "localhost", which is
 * 127.0.0.1; or "*", which is all of both. -errno with why in *ret_why, as above; -EINVAL: not such an address. */
int listen_tcp(const char *host, uint16_t port, int *ret_fd, char **ret_why);
