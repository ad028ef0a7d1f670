/* SPDX-License-Identifier: MIT */
/* Who the daemon is and what it may do to the processes that it starts: facts about a process, so that a configuration
 * can be judged for another one. */
#pragma once

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

struct strbuf;

struct privileges {
	uid_t uid;              /* effective */
	gid_t gid;              /* likewise */
	bool may_set_user;      /* CAP_SETUID */
	bool may_set_groups;    /* CAP_SETGID */
	bool may_be_nice;       /* CAP_SYS_NICE: any nice value */
	bool may_exceed_limits; /* CAP_SYS_RESOURCE */
	int nice;
	int least_nice;                   /* the lowest value that it can have without CAP_SYS_NICE; at most `nice` */
	rlim_t hard_limits[RLIM_NLIMITS]; /* by RLIMIT_... */
};

/* Those of this process. -errno. */
int privileges_look(struct privileges *ret);

/* The user or group of this name, or, if it is all digits, number. -ENOENT: there is none of that name. -EINVAL: the
 * number is none that a user can have. Another -errno: the system's database of users could not be read. */
int privileges_find_user(const char *text, uid_t *ret);
int privileges_find_group(const char *text, gid_t *ret);

/* Appends "NAME (uid N)", or "uid N" for a user without a name. */
void privileges_append_user(const struct privileges *p, struct strbuf *b);
