/* SPDX-License-Identifier: MIT */
/* The one function that creates processes. Everything is decided beforehand in a plan; the child only carries it out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The steps of the child, in their order, and those of the parent before it. */
enum spawn_step {
	SPAWN_NONE,
	SPAWN_IDENTITY,	   /* parent: user and group of the handler */
	SPAWN_PREPARE,	   /* parent: memory for the plan */
	SPAWN_INPUT,	   /* parent: pipe or memory file for stdin */
	SPAWN_OUTPUT,	   /* parent: pipes for stdout and stderr */
	SPAWN_PROCESS,	   /* clone(2) as vfork(2) calls it */
	SPAWN_SESSION,	   /* setsid(2) */
	SPAWN_CONFINEMENT, /* prctl(PR_SET_NO_NEW_PRIVS), landlock_restrict_self(2) */
	SPAWN_DESCRIPTORS, /* dup3(2), close_range(2) */
	SPAWN_NICE,	   /* setpriority(2) */
	SPAWN_LIMIT,	   /* prlimit(2) */
	SPAWN_USER,	   /* setgroups(2), setresgid(2), setresuid(2), capset(2) */
	SPAWN_DEATH_SIGNAL, /* prctl(PR_SET_PDEATHSIG), prctl(PR_SET_CHILD_SUBREAPER) */
	SPAWN_DIRECTORY,   /* chdir(2) */
	SPAWN_SIGNALS,	   /* dispositions and mask */
	SPAWN_EXECUTE,	   /* execve(2) */
};

struct spawn_error {
	enum spawn_step step;
	int error;	/* errno */
	char path[256]; /* what the step was about (command, directory, user, limit), cut if need be; "" if nothing */
	/* SPAWN_EXECUTE only: the #! interpreter that the error is about, cut if need be; "" if it is about path itself */
	char interpreter[256];
	bool loader; /* SPAWN_EXECUTE only: path exists, but the loader that a binary names does not */
};

/* Whose rights a process has. */
struct spawn_identity {
	uid_t uid;
	gid_t gid;
	const gid_t *groups; /* supplementary, n_groups of them; borrowed */
	size_t n_groups;
};

struct spawn_limit {
	int resource; /* RLIMIT_... */
	const char *name; /* for errors; static */
	uint64_t soft;
	uint64_t hard;
};

#define SPAWN_LIMITS_MAX 6

struct spawn_plan {
	const char *const *argv; /* NULL-terminated; argv[0] is the path executed */
	const char *const *envp; /* NULL-terminated */
	const char *directory;	 /* absolute; entered with the rights of `identity` */
	/* What becomes descriptors 0 to 3; borrowed, above 3 each (the last one -1: there is no descriptor 3); every other one is
	 * closed in the child. */
	int fds[4];
	const struct spawn_identity *identity; /* NULL: that of the caller; else taking it needs privileges */
	const char *user; /* for errors: what `identity` is called */
	bool drop_capabilities; /* none is kept: for whoever is not root */
	bool has_umask;
	mode_t umask;
	bool has_nice;
	int nice;
	struct spawn_limit limits[SPAWN_LIMITS_MAX]; /* n_limits of them */
	size_t n_limits;
	int confinement;   /* of confine.h; borrowed; -1: none */
	bool no_new_privs; /* without which the confinement is not allowed: no setuid program gains anything any more */
	bool subreaper;	   /* orphans among its descendants become its children */
};

#define SPAWN_PLAN_INIT ((struct spawn_plan){.fds = {-1, -1, -1, -1}, .confinement = -1})

/* Runs the plan in a new process: its own session and process group, SIGKILLed when the calling thread dies, default
 * signal dispositions, empty mask. Returns 0 with the pid once the program is executing, or -errno with `error`
 * overwritten; the child of a failed spawn is reaped. Blocks for the time of the child's system calls. The caller must be
 * single in reaping: no wait for any child may run in another thread. */
int spawn(const struct spawn_plan *plan, struct spawn_error *error, pid_t *ret_pid);

/* Fills in an error about `path` (NULL: nothing); for the steps that the parent takes. Returns -error. */
int spawn_error_set(struct spawn_error *e, enum spawn_step step, int error, const char *path);

/* "cannot execute /usr/bin/x: No such file or directory" into buf of `size` bytes (at least 1), one printable line, always
 * terminated. Returns buf. */
const char *spawn_error_format(const struct spawn_error *e, char *buf, size_t size);

/* True if the failure is one of the system's resources (no memory, processes or descriptors; everything that fails before
 * there is a process), false if the handler itself cannot be executed. */
int spawn_error_is_resource(const struct spawn_error *e);

/* "input", "directory", ...; NULL outside the enum. */
const char *spawn_step_to_string(enum spawn_step s);
