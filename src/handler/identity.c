/* SPDX-License-Identifier: MIT */
#include "handler/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

/* More supplementary groups than that the kernel does not take (NGROUPS_MAX). */
#define GROUPS_MAX 65536

/* An id written as a number. -1 as an id means "no change" to the system calls, and is none. */
static bool parse_id(const char *s, id_t *ret) {
	char *end;
	unsigned long n;

	if (*s < '0' || *s > '9')
		return false;
	errno = 0;
	n = strtoul(s, &end, 10);
	if (*end || errno || n >= UINT32_MAX)
		return false;
	*ret = (id_t)n;
	return true;
}

static int unknown(struct spawn_error *error, const char *what, const char *name, int number) {
	char text[sizeof(error->path)];

	(void)snprintf(text, sizeof(text), "%s %s", what, name);
	return spawn_error_set(error, SPAWN_IDENTITY, number ? number : ESRCH, text);
}

static int take_user(struct identity *id, const struct passwd *p) {
	free(id->name);
	free(id->home);
	id->ids.uid = p->pw_uid;
	id->ids.gid = p->pw_gid;
	id->name = strdup(p->pw_name);
	id->home = strdup(p->pw_dir);
	return id->name && id->home ? 0 : -ENOMEM;
}

/* A number that nobody knows is as good as a name; its group then has to be given, or is that of the same number. */
static int take_number(struct identity *id, uid_t uid) {
	id->ids.uid = uid;
	id->ids.gid = (gid_t)uid;
	id->home = strdup("/");
	if (asprintf(&id->name, "%" PRIuMAX, (uintmax_t)uid) < 0)
		id->name = NULL;
	return id->name && id->home ? 0 : -ENOMEM;
}

static int find_user(const char *user, struct identity *id, struct spawn_error *error) {
	const struct passwd *p;
	id_t uid = geteuid();
	int r;

	errno = 0;
	if (!user || parse_id(user, &uid)) {
		p = getpwuid(uid);
		r = p ? take_user(id, p) : take_number(id, uid);
	} else {
		p = getpwnam(user);
		if (!p)
			return unknown(error, "user", user, errno == ENOENT ? 0 : errno);
		r = take_user(id, p);
	}
	return r < 0 ? spawn_error_set(error, SPAWN_PREPARE, -r, NULL) : 0;
}

static int find_group(const char *group, gid_t *ret, struct spawn_error *error) {
	const struct group *g;
	id_t gid;

	if (parse_id(group, &gid)) {
		*ret = (gid_t)gid;
		return 0;
	}
	errno = 0;
	g = getgrnam(group);
	if (!g)
		return unknown(error, "group", group, errno == ENOENT ? 0 : errno);
	*ret = g->gr_gid;
	return 0;
}

/* The groups that the database has the user in; with its own one, as login(1) does it. */
static int find_supplementary(struct identity *id) {
	int n = 32;

	for (;;) {
		gid_t *groups = reallocarray(id->groups, (size_t)n, sizeof(*groups));
		int wanted = n;

		if (!groups)
			return -ENOMEM;
		id->groups = groups;
		if (getgrouplist(id->name, id->ids.gid, groups, &wanted) >= 0) {
			id->ids.n_groups = (size_t)wanted;
			break;
		}
		if (wanted <= n || wanted > GROUPS_MAX)
			return -E2BIG;
		n = wanted;
	}
	id->ids.groups = id->groups;
	return 0;
}

int identity_resolve(const char *user, const char *group, struct identity *ret, struct spawn_error *error) {
	CLEANUP(identity_clear) struct identity id = IDENTITY_INIT;
	int r = find_user(user, &id, error);

	if (r == 0 && !user)
		id.ids.gid = getegid();
	if (r == 0 && group)
		r = find_group(group, &id.ids.gid, error);
	if (r < 0)
		return r;
	id.changes = id.ids.uid != geteuid() || id.ids.gid != getegid();
	if (id.changes && user) {
		r = find_supplementary(&id);
		if (r < 0)
			return spawn_error_set(error, SPAWN_PREPARE, -r, NULL);
	}
	*ret = id;
	id = IDENTITY_INIT;
	return 0;
}

void identity_clear(struct identity *id) {
	free(id->name);
	free(id->home);
	free(id->groups);
	*id = IDENTITY_INIT;
}

const struct spawn_identity *identity_ids(const struct identity *id) {
	return id->changes ? &id->ids : NULL;
}

static bool is_member(const struct spawn_identity *id, gid_t gid) {
	if (id->gid == gid)
		return true;
	for (size_t i = 0; i < id->n_groups; i++)
		if (id->groups[i] == gid)
			return true;
	return false;
}

/* path_resolution(7): the first class that fits decides, even if another would allow more. */
static bool bits_allow(const struct spawn_identity *id, const struct stat *st, int mode) {
	unsigned bits = st->st_mode & 07;

	if (st->st_uid == id->uid)
		bits = st->st_mode >> 6 & 07;
	else if (is_member(id, st->st_gid))
		bits = st->st_mode >> 3 & 07;
	return ((unsigned)mode & ~bits) == 0;
}

/* The real path has no links: each directory along it must let the user through. */
static int check_along(const struct spawn_identity *id, char *path, int mode) {
	struct stat st;

	for (char *slash = path; slash; slash = strchr(slash + 1, '/')) {
		char kept = slash[1];

		slash[1] = '\0'; /* with the slash, so that the first one is the root */
		if (stat(path, &st) < 0)
			return -errno;
		slash[1] = kept;
		if (!bits_allow(id, &st, X_OK))
			return -EACCES;
	}
	if (stat(path, &st) < 0)
		return -errno;
	return bits_allow(id, &st, mode) ? 0 : -EACCES;
}

int identity_may(const struct spawn_identity *id, int dir, const char *path, int mode) {
	char link[32], real[PATH_MAX];
	CLEANUP(fd_close) int fd = -1;
	ssize_t n;

	/* One and the same question for the daemon's own user and for root, who is refused nothing but execution of what has no
	 * execute bit at all. */
	if (!id || id->uid == 0)
		return faccessat(dir, path, mode, AT_EACCESS) < 0 ? -errno : 0;
	fd = openat(dir, path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, real, sizeof(real) - 1);
	if (n < 0)
		return -errno;
	real[n] = '\0';
	return check_along(id, real, mode);
}
