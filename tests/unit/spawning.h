/* SPDX-License-Identifier: MIT */
/* Spawning programs and looking at what they print. */
#pragma once

#include <check.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "handler/spawn.h"

static struct spawn_error error;
static char text[8192];

/* Spawns argv in `directory`, with /dev/null as stdin and all output in one pipe, and with what `extra` says beyond that. */
static inline int spawn_with(const struct spawn_plan *extra, const char *directory, const char *const *argv, int *ret_output,
		      pid_t *ret_pid) {
	static const char *const envp[] = {"PATH=/usr/bin:/bin", "LANG=C", NULL};
	CLEANUP(fd_close) int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CLEANUP(fd_close) int writer = -1;
	struct spawn_plan plan = *extra;
	int fds[2], r;

	plan.argv = argv;
	plan.envp = envp;
	plan.directory = directory;
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	writer = fds[1];
	plan.fds[0] = null;
	plan.fds[1] = plan.fds[2] = writer;
	r = spawn(&plan, &error, ret_pid);
	if (r < 0)
		fd_close(fds[0]);
	else
		*ret_output = fds[0];
	return r;
}

static inline int spawn_in(const char *directory, const char *const *argv, int *ret_output, pid_t *ret_pid) {
	return spawn_with(&SPAWN_PLAN_INIT, directory, argv, ret_output, ret_pid);
}

/* Runs a program; its output goes to `text`. Returns its wait status. */
static inline int run_with(const struct spawn_plan *extra, const char *const *argv) {
	size_t len = 0;
	ssize_t n;
	int output, status;
	pid_t pid;

	ck_assert_int_eq(spawn_with(extra, "/", argv, &output, &pid), 0);
	while ((n = read(output, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	fd_close(output);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static inline int run_program(const char *const *argv) {
	return run_with(&SPAWN_PLAN_INIT, argv);
}

static inline int run_shell_with(const struct spawn_plan *extra, const char *script) {
	const char *const argv[] = {"/bin/sh", "-c", script, NULL};

	return run_with(extra, argv);
}

static inline int run_shell(const char *script) {
	return run_shell_with(&SPAWN_PLAN_INIT, script);
}

/* Without close-on-exec, as the broker library opens its sockets. */
static inline void open_strays(void) {
	ck_assert_int_ge(open("/dev/zero", O_RDONLY), 3);
	ck_assert_int_eq(dup2(0, 200), 200);
	ck_assert_int_eq(dup2(0, 777), 777);
}
