/* SPDX-License-Identifier: MIT */
#include "config/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/strbuf.h"

#define ENTRY_SIZE_MAX (1U << 20) /* bytes of a user's or group's entry; a group lists its members */

/* There is no wrapper in libc, and libcap would be one more library for a single call. */
static int effective_capabilities(uint64_t *ret) {
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	*ret = (uint64_t)data[1].effective << 32 | data[0].effective;
	return 0;
}

static bool has(uint64_t capabilities, unsigned which) {
	return capabilities >> which & 1;
}

/* The nice value that RLIMIT_NICE, which counts from 1 (19) to 40 (-20), allows. */
static int least_nice(const struct rlimit *limit, int own) {
	int least = limit->rlim_cur > 40 ? -20 : 20 - (int)limit->rlim_cur;

	return least < own ? least : own;
}

int privileges_look(struct privileges *ret) {
	struct privileges p = {.uid = geteuid(), .gid = getegid()};
	struct rlimit limit;
	uint64_t capabilities = 0;
	int r;

	r = effective_capabilities(&capabilities);
	if (r < 0)
		return r;
	p.may_set_user = has(capabilities, CAP_SETUID);
	p.may_set_groups = has(capabilities, CAP_SETGID);
	p.may_be_nice = has(capabilities, CAP_SYS_NICE);
	p.may_exceed_limits = has(capabilities, CAP_SYS_RESOURCE);
	p.nice = getpriority(PRIO_PROCESS, 0);
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		if (getrlimit((__rlimit_resource_t)i, &limit) < 0)
			return -errno;
		p.hard_limits[i] = limit.rlim_max;
		if (i == RLIMIT_NICE)
			p.least_nice = least_nice(&limit, p.nice);
	}
	*ret = p;
	return 0;
}

/* 0: a number; -ENOENT: a name; -EINVAL: no number that there can be. (uid_t)-1 means "none" to the kernel. */
static int parse_id(const char *text, unsigned *ret) {
	unsigned long long n;

	if (!*text || text[strspn(text, "0123456789")])
		return -ENOENT;
	errno = 0;
	n = strtoull(text, NULL, 10);
	if (errno || n >= UINT32_MAX)
		return -EINVAL;
	*ret = (unsigned)n;
	return 0;
}

/* Looks with a buffer that grows as long as it is too small. 0; an errno of the database; -ENOENT: no such entry. */
static int look_up(const char *name, int (*find)(const char *, char *, size_t, unsigned *), unsigned *ret) {
	for (size_t size = 1024; size <= ENTRY_SIZE_MAX; size *= 4) {
		CLEANUP(free) char *buffer = malloc(size);
		int r;

		if (!buffer)
			return -ENOMEM;
		r = find(name, buffer, size, ret);
		if (r != -ERANGE)
			return r;
	}
	return -ERANGE;
}

static int find_passwd(const char *name, char *buffer, size_t size, unsigned *ret) {
	struct passwd entry, *found = NULL;
	int r = getpwnam_r(name, &entry, buffer, size, &found);

	if (!found)
		return r ? -r : -ENOENT;
	*ret = found->pw_uid;
	return 0;
}

static int find_group(const char *name, char *buffer, size_t size, unsigned *ret) {
	struct group entry, *found = NULL;
	int r = getgrnam_r(name, &entry, buffer, size, &found);

	if (!found)
		return r ? -r : -ENOENT;
	*ret = found->gr_gid;
	return 0;
}

int privileges_find_user(const char *text, uid_t *ret) {
	int r = parse_id(text, ret);

	return r == -ENOENT ? look_up(text, find_passwd, ret) : r;
}

int privileges_find_group(const char *text, gid_t *ret) {
	int r = parse_id(text, ret);

	return r == -ENOENT ? look_up(text, find_group, ret) : r;
}

void privileges_append_user(const struct privileges *p, struct strbuf *b) {
	struct passwd entry, *found = NULL;
	char buffer[4096]; /* a larger entry's user goes without a name */

	if (getpwuid_r(p->uid, &entry, buffer, sizeof(buffer), &found) == 0 && found)
		strbuf_printf(b, "%s (uid %u)", entry.pw_name, (unsigned)p->uid);
	else
		strbuf_printf(b, "uid %u", (unsigned)p->uid);
}
