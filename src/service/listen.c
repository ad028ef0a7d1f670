/* SPDX-License-Identifier: MIT */
#include "service/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "handler/identity.h"

#define LISTEN_BACKLOG 64

/* Returns r, with *ret_why in words. */
static int fail(int r, char **ret_why, const char *format, ...) PRINTF_LIKE(3, 4);

static int fail(int r, char **ret_why, const char *format, ...) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	va_list args;

	va_start(args, format);
	strbuf_vprintf(&b, format, args);
	va_end(args);
	if (strbuf_take(&b, ret_why) < 0)
		*ret_why = NULL;
	return r;
}

/* --- handed over by systemd -------------------------------------------------------------------------------------- */

static gid_t group_of_file(int fd) {
	struct sockaddr_un address = {0};
	socklen_t len = sizeof(address) - 1;
	struct stat st;

	if (getsockname(fd, (struct sockaddr *)&address, &len) < 0 || !address.sun_path[0] ||
	    stat(address.sun_path, &st) < 0)
		return (gid_t)-1;
	return st.st_gid;
}

/* False: it is none of those that are expected. */
static bool keep_inherited(struct listen_inherited *in, int fd, const char *name) {
	if (strcmp(name, "control") == 0 && in->control < 0 && sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) > 0) {
		in->control = fd;
		in->control_group = group_of_file(fd);
		return true;
	}
	if (strcmp(name, "monitor") == 0 &&
	    (sd_is_socket(fd, AF_INET, SOCK_STREAM, 1) > 0 || sd_is_socket(fd, AF_INET6, SOCK_STREAM, 1) > 0)) {
		in->monitor[in->n_monitor++] = fd;
		return true;
	}
	return false;
}

static void close_unexpected(int fd, const char *name) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	strbuf_append_value(&b, name, strlen(name));
	log_event(LOG_EVENT_CONTROL_REFUSED, LOG_WARNING, NULL, 0,
		  "descriptor %d, %s, from the service manager is none that is used: closed", fd, strbuf_str(&b));
	fd_close(fd);
}

int listen_inherit(struct listen_inherited *ret) {
	struct listen_inherited in = LISTEN_INHERITED_INIT;
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names);

	if (n < 0)
		return n;
	in.monitor = calloc((size_t)n + 1, sizeof(int));
	for (int i = 0; i < n; i++) {
		int fd = SD_LISTEN_FDS_START + i;

		if (!in.monitor || !keep_inherited(&in, fd, names[i]))
			close_unexpected(fd, names[i]);
		free(names[i]);
	}
	free(names);
	if (!in.monitor)
		return -ENOMEM;
	*ret = in;
	return 0;
}

void listen_inherited_clear(struct listen_inherited *in) {
	fd_close(in->control);
	for (size_t i = 0; i < in->n_monitor; i++)
		fd_close(in->monitor[i]);
	free(in->monitor);
	*in = LISTEN_INHERITED_INIT;
}

/* --- Unix sockets ------------------------------------------------------------------------------------------------ */

static int fill_address(const char *path, struct sockaddr_un *ret) {
	size_t len = strlen(path);

	if (len >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(ret->sun_path, path, len);
	return 0;
}

/* 0: somebody listens there; else -errno. A queue that is full has somebody before it. */
static int probe_unix(const struct sockaddr_un *address) {
	CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 && errno != EAGAIN)
		return -errno;
	return 0;
}

static bool is_of(const struct listen_unix *u, const struct stat *st) {
	return st->st_dev == u->dev && st->st_ino == u->ino;
}

static bool is_at(const struct listen_unix *u, const char *path) {
	struct stat st;

	return lstat(path, &st) == 0 && is_of(u, &st);
}

/* 0: nothing is there. 1: a socket without a listener is, *ret, which may be removed. */
static int look_at(const char *path, const struct sockaddr_un *address, struct stat *ret, char **ret_why) {
	int r;

	if (lstat(path, ret) < 0)
		return errno == ENOENT ? 0 : fail(-errno, ret_why, "cannot look at %s: %s", path, strerror(errno));
	if (!S_ISSOCK(ret->st_mode))
		return fail(-EEXIST, ret_why, "%s exists, and is no socket", path);
	r = probe_unix(address);
	if (r == 0)
		return fail(-EADDRINUSE, ret_why, "another process, maybe another amqp-execd, listens on %s", path);
	if (r != -ECONNREFUSED && r != -ENOENT)
		return fail(r, ret_why, "cannot tell whether somebody listens on %s: %s", path, strerror(-r));
	return 1;
}

static int clear_path(const char *path, const struct sockaddr_un *address, char **ret_why) {
	struct stat before, after;
	int r = look_at(path, address, &before, ret_why);

	if (r <= 0)
		return r;
	/* Another daemon that starts may have been faster: what is there now would be its socket. */
	if (lstat(path, &after) == 0 && after.st_dev == before.st_dev && after.st_ino == before.st_ino &&
	    unlink(path) < 0 && errno != ENOENT)
		return fail(-errno, ret_why, "cannot remove the old socket %s: %s", path, strerror(errno));
	return 0;
}

/* A name beside the path that only this process uses. */
static int temporary_path(const char *path, char **ret) {
	const char *slash = strrchr(path, '/');

	return asprintf(ret, "%.*s/.%d", slash ? (int)(slash - path) : 0, path, (int)getpid()) < 0 ? -ENOMEM : 0;
}

static int set_group(const struct listen_unix *u, gid_t group, char **ret_why) {
	if (group == (gid_t)-1 || lchown(u->temporary, (uid_t)-1, group) == 0)
		return 0;
	/* EINVAL: the user namespace of PrivateUsers=yes does not have it. */
	if (errno == EPERM || errno == EINVAL)
		return fail(-errno, ret_why,
			    "cannot give the socket to the group %s: %s (in a unit of systemd what helps is "
			    "PrivateUsers=no, with "
			    "this group in SupplementaryGroups=, or in SocketGroup= of a socket unit)",
			    u->group_name, strerror(errno));
	return fail(-errno, ret_why, "cannot give the socket to the group %s: %s", u->group_name, strerror(errno));
}

/* Binds the socket to a file that is nobody's but the user's until it has its group. */
static int bind_private(struct listen_unix *u, const struct sockaddr_un *address, gid_t group, char **ret_why) {
	struct stat st;
	mode_t mask;
	int r;

	(void)unlink(u->temporary);
	mask = umask(0177);
	r = bind(u->fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
	(void)umask(mask);
	if (r < 0)
		return fail(r, ret_why, "cannot make a socket in the folder of %s: %s", u->path, strerror(-r));
	if (lstat(u->temporary, &st) < 0)
		return fail(-errno, ret_why, "the socket is gone: %s", strerror(errno));
	u->dev = st.st_dev;
	u->ino = st.st_ino;
	u->group = group == (gid_t)-1 ? st.st_gid : group;
	r = set_group(u, group, ret_why);
	if (r < 0)
		return r;
	if (chmod(u->temporary, 0660) < 0 || listen(u->fd, LISTEN_BACKLOG) < 0)
		return fail(-errno, ret_why, "cannot set up the socket: %s", strerror(errno));
	return 0;
}

static int find_group(const char *name, gid_t *ret, char **ret_why) {
	CLEANUP(identity_clear) struct identity id = IDENTITY_INIT;
	struct spawn_error error;
	int r;

	if (!name) {
		*ret = (gid_t)-1;
		return 0;
	}
	r = identity_resolve(NULL, name, &id, &error);
	if (r < 0)
		return fail(r, ret_why, r == -ESRCH ? "there is no group %s" : "cannot look up the group %s", name);
	*ret = id.ids.gid;
	return 0;
}

static int unix_setup(struct listen_unix *u, const struct listen_unix *own, char **ret_why) {
	struct sockaddr_un address, hidden;
	struct stat st;
	gid_t group = (gid_t)-1;
	int r;

	if (fill_address(u->path, &address) < 0 || fill_address(u->temporary, &hidden) < 0)
		return fail(-ENAMETOOLONG, ret_why, "%s: the path of a socket has at most %zu bytes", u->path,
			    sizeof(address.sun_path) - 1);
	r = find_group(u->group_name, &group, ret_why);
	if (r < 0)
		return r;
	u->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (u->fd < 0)
		return fail(-errno, ret_why, "cannot make a socket: %s", strerror(errno));
	r = own && is_at(own, u->path) ? 0 : look_at(u->path, &address, &st, ret_why);
	return r < 0 ? r : bind_private(u, &hidden, group, ret_why);
}

int listen_unix_new(const char *path, const char *group, const struct listen_unix *own, struct listen_unix **ret,
		    char **ret_why) {
	CLEANUP(listen_unix_free) struct listen_unix *u = calloc(1, sizeof(*u));
	int r;

	*ret_why = NULL;
	if (!u)
		return -ENOMEM;
	u->fd = -1;
	u->path = strdup(path);
	u->group_name = group ? strdup(group) : NULL;
	if (!u->path || (group && !u->group_name) || temporary_path(path, &u->temporary) < 0)
		return -ENOMEM;
	r = unix_setup(u, own, ret_why);
	if (r < 0)
		return r;
	*ret = TAKE(u);
	return 0;
}

/* Moves the file to its place, where nothing must be, or what may be replaced. */
static int move(const struct listen_unix *u, bool replace, char **ret_why) {
	if (replace && rename(u->temporary, u->path) == 0)
		return 0;
	if (!replace && renameat2(AT_FDCWD, u->temporary, AT_FDCWD, u->path, RENAME_NOREPLACE) == 0)
		return 0;
	/* A file system that cannot promise it. */
	if (!replace && errno == EINVAL && rename(u->temporary, u->path) == 0)
		return 0;
	if (errno == EEXIST)
		return fail(-EADDRINUSE, ret_why, "another process has just made %s", u->path);
	return fail(-errno, ret_why, "cannot make %s: %s", u->path, strerror(errno));
}

int listen_unix_publish(struct listen_unix *u, const struct listen_unix *own, char **ret_why) {
	bool replace = own && is_at(own, u->path);
	struct sockaddr_un address;
	int r;

	*ret_why = NULL;
	(void)fill_address(u->path, &address);
	r = replace ? 0 : clear_path(u->path, &address, ret_why);
	if (r >= 0)
		r = move(u, replace, ret_why);
	if (r < 0)
		return r;
	free(u->temporary);
	u->temporary = NULL;
	return 0;
}

bool listen_unix_is(const struct listen_unix *u, const char *path, const char *group) {
	bool same_group = group && u->group_name ? strcmp(group, u->group_name) == 0 : !group && !u->group_name;

	return same_group && strcmp(path, u->path) == 0 && is_at(u, path);
}

struct listen_unix *listen_unix_free(struct listen_unix *u) {
	const char *path;

	if (!u)
		return NULL;
	path = u->temporary ? u->temporary : u->path;
	/* An inode of 0: it was never there. */
	if (u->ino && is_at(u, path))
		(void)unlink(path);
	fd_close(u->fd);
	free(u->path);
	free(u->temporary);
	free(u->group_name);
	free(u);
	return NULL;
}

/* --- TCP --------------------------------------------------------------------------------------------------------- */

static int bind_tcp(const struct sockaddr *address, socklen_t len, bool both, int *ret_fd) {
	CLEANUP(fd_close) int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1, only = !both;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    (address->sa_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)) < 0) ||
	    bind(fd, address, len) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int listen_tcp(const char *host, uint16_t port, int *ret_fd, char **ret_why) {
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	bool both = strcmp(host, "*") == 0;
	int r;

	*ret_why = NULL;
	if (both || inet_pton(AF_INET6, host, &v6.sin6_addr) == 1)
		r = bind_tcp((const struct sockaddr *)&v6, sizeof(v6), both, ret_fd);
	else if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &v4.sin_addr) == 1)
		r = bind_tcp((const struct sockaddr *)&v4, sizeof(v4), false, ret_fd);
	else
		return fail(-EINVAL, ret_why, "\"%s\" is no numeric address", host);
	/* A kernel without IPv6. */
	if (both && (r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL))
		r = bind_tcp((const struct sockaddr *)&v4, sizeof(v4), false, ret_fd);
	return r < 0 ? fail(r, ret_why, "cannot listen on %s port %u: %s", host, port, strerror(-r)) : 0;
}
