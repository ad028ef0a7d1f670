/* SPDX-License-Identifier: MIT */
/* The one function that creates processes. Everything is decided beforehand in a plan; the child only carries it out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The steps of the child, in their order, and those of the parent before it. */
enum spawn_step {
	SPAWN_NONE,
	SPAWN_PREPARE,	   /* parent: memory for the plan */
	SPAWN_INPUT,	   /* parent: pipe or memory file for stdin */
	SPAWN_OUTPUT,	   /* parent: pipes for stdout and stderr */
	SPAWN_PROCESS,	   /* clone(2) as vfork(2) calls it */
	SPAWN_SESSION,	   /* setsid(2) */
	SPAWN_DEATH_SIGNAL, /* prctl(PR_SET_PDEATHSIG) */
	SPAWN_DESCRIPTORS, /* dup3(2), close_range(2) */
	SPAWN_DIRECTORY,   /* chdir(2) */
	SPAWN_SIGNALS,	   /* dispositions and mask */
	SPAWN_EXECUTE,	   /* execve(2) */
};

struct spawn_error {
	enum spawn_step step;
	int error;	/* errno */
	char path[256]; /* what the step was about (command, directory), cut if need be; "" if nothing */
	/* SPAWN_EXECUTE only: the #! interpreter that the error is about, cut if need be; "" if it is about path itself */
	char interpreter[256];
	bool loader; /* SPAWN_EXECUTE only: path exists, but the loader that a binary names does not */
};

struct spawn_plan {
	const char *const *argv; /* NULL-terminated; argv[0] is the path executed */
	const char *const *envp; /* NULL-terminated */
	const char *directory;	 /* absolute */
	int fds[3]; /* what becomes descriptors 0, 1 and 2; borrowed, at least 3 each; every other one is closed in the child */
};

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
