/* SPDX-License-Identifier: MIT */
#include "handler/confine_rules.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#endif
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif

/* The first version that lets files be moved from one directory to another (LANDLOCK_ACCESS_FS_REFER). */
#define VERSION_MIN 2

/* A ruleset that is being made. */
struct making {
	const struct confine_rules *rules;
	struct stat *denied; /* owned; of each of rules.denied; st_ino 0: it is not there */
	int ruleset;
	unsigned entries_max;
	struct strbuf *why;
};

void confine_rules_clear(struct confine_rules *r) {
	for (size_t i = 0; i < r->n_denied; i++)
		free(r->denied[i]);
	for (size_t i = 0; i < r->n_directories; i++)
		free(r->directories[i]);
	free(r->denied);
	free(r->directories);
	*r = (struct confine_rules){0};
}

static bool has(char *const *paths, size_t n, const char *path) {
	for (size_t i = 0; i < n; i++)
		if (strcmp(paths[i], path) == 0)
			return true;
	return false;
}

/* Adds a copy of the first `len` bytes, unless it is there. -ENOMEM. */
static int add(char ***paths, size_t *n, const char *path, size_t len) {
	char *copy = strndup(path, len), **grown;

	if (copy && has(*paths, *n, copy)) {
		free(copy);
		return 0;
	}
	grown = copy ? reallocarray(*paths, *n + 1, sizeof(*grown)) : NULL;
	if (!grown) {
		free(copy);
		return -ENOMEM;
	}
	*paths = grown;
	grown[(*n)++] = copy;
	return 0;
}

/* The real path of what is not there, in a directory that is. */
static bool real_of_missing(const char *path, char real[PATH_MAX]) {
	const char *slash = strrchr(path, '/');
	char directory[PATH_MAX], found[PATH_MAX];
	int n = snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");

	if (n < 0 || n >= (int)sizeof(directory) || !realpath(directory, found))
		return false;
	n = snprintf(real, PATH_MAX, "%s/%s", strcmp(found, "/") == 0 ? "" : found, slash ? slash + 1 : path);
	return n > 0 && n < PATH_MAX;
}

int confine_rules_add(struct confine_rules *r, const char *path) {
	char real[PATH_MAX];

	if (!realpath(path, real)) {
		if (errno == ENOMEM)
			return -ENOMEM;
		if (!real_of_missing(path, real))
			return 0;
	}
	return add(&r->denied, &r->n_denied, real, strlen(real));
}

/* Whether it is in a directory that is denied with all that is in it. */
static bool is_within_another(const struct confine_rules *r, const char *path) {
	for (size_t i = 0; i < r->n_denied; i++) {
		size_t len = strlen(r->denied[i]);

		if (strncmp(r->denied[i], path, len) == 0 && path[len] == '/')
			return true;
	}
	return false;
}

int confine_rules_plan(struct confine_rules *r) {
	for (size_t i = 0; i < r->n_denied; i++) {
		const char *path = r->denied[i];

		if (is_within_another(r, path))
			continue;
		for (const char *slash = path; slash; slash = strchr(slash + 1, '/'))
			if (add(&r->directories, &r->n_directories, path, slash == path ? 1 : (size_t)(slash - path)) < 0)
				return -ENOMEM;
	}
	return 0;
}

/* By what it is, too: another name of a denied file, in a directory that is listed, would allow the file. */
static bool is_denied(const struct making *m, const char *path, const struct stat *st) {
	for (size_t i = 0; i < m->rules->n_denied; i++)
		if (m->denied[i].st_ino == st->st_ino && m->denied[i].st_dev == st->st_dev)
			return true;
	return has(m->rules->denied, m->rules->n_denied, path);
}

static bool is_missing_resource(int error) {
	return error == ENOMEM || error == EMFILE || error == ENFILE;
}

static int allow(int ruleset, int fd, uint64_t access) {
	const struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = fd};

	return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

/* Allows to read one entry of a directory, and all that is in it, unless it is denied or leads to what is. */
static int allow_entry(const struct making *m, int dir, const char *directory, const char *name) {
	CLEANUP(fd_close) int fd = -1;
	char path[PATH_MAX + 256 + 2];
	struct stat st;
	int r;

	(void)snprintf(path, sizeof(path), "%s/%s", strcmp(directory, "/") == 0 ? "" : directory, name);
	if (has(m->rules->directories, m->rules->n_directories, path))
		return 0;
	fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	/* Gone meanwhile, or closed to us and so to the handler. */
	if (fd < 0 || fstat(fd, &st) < 0)
		return is_missing_resource(errno) ? -errno : 0;
	/* What a link leads to is allowed where it is. */
	if (S_ISLNK(st.st_mode) || is_denied(m, path, &st))
		return 0;
	r = allow(m->ruleset, fd, LANDLOCK_ACCESS_FS_READ_FILE);
	return r < 0 && is_missing_resource(-r) ? r : 0;
}

static void closedir_cleanup(DIR **dir) {
	if (*dir)
		closedir(*dir);
}

static int allow_entries(const struct making *m, const char *directory) {
	CLEANUP(closedir) DIR *dir = opendir(directory);
	const struct dirent *entry;
	unsigned n = 0;
	int r;

	if (!dir && is_missing_resource(errno))
		return -errno;
	/* Gone meanwhile: the next look finds out. */
	if (!dir && errno == ENOENT)
		return 0;
	if (!dir) {
		r = errno;
		strbuf_append_str(m->why, "cannot list ");
		strbuf_append_escaped(m->why, directory, strlen(directory));
		strbuf_printf(m->why, ": %s", strerror(r));
		return -EOPNOTSUPP;
	}
	while (errno = 0, (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (++n > m->entries_max) {
			strbuf_append_escaped(m->why, directory, strlen(directory));
			strbuf_printf(m->why, " has more than %u entries", m->entries_max);
			return -EOPNOTSUPP;
		}
		r = allow_entry(m, dirfd(dir), directory, entry->d_name);
		if (r < 0)
			return r;
	}
	return errno && is_missing_resource(errno) ? -errno : 0;
}

static int make(struct making *m) {
	CLEANUP(fd_close) int root = open("/", O_PATH | O_CLOEXEC);
	int r = root < 0 ? -errno : allow(m->ruleset, root, LANDLOCK_ACCESS_FS_REFER);

	for (size_t i = 0; i < m->rules->n_denied; i++)
		if (stat(m->rules->denied[i], m->denied + i) < 0)
			m->denied[i].st_ino = 0;
	for (size_t i = 0; r == 0 && i < m->rules->n_directories; i++)
		r = allow_entries(m, m->rules->directories[i]);
	return r;
}

int confine_rules_make(const struct confine_rules *rules, unsigned entries_max, struct strbuf *why, int *ret_fd) {
	const struct landlock_ruleset_attr attr = {.handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_REFER};
	struct making m = {.rules = rules, .entries_max = entries_max, .why = why};
	CLEANUP(fd_close) int fd = -1;
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	int r;

	if (version < VERSION_MIN) {
		strbuf_printf(why, "the kernel has no Landlock of version %d or later", VERSION_MIN);
		return -ENOSYS;
	}
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (fd < 0)
		return -errno;
	m.ruleset = fd;
	m.denied = calloc(rules->n_denied + 1, sizeof(*m.denied));
	r = m.denied ? make(&m) : -ENOMEM;
	free(m.denied);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}
