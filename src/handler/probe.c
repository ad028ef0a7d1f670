/* SPDX-License-Identifier: MIT */
#include "handler/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

/* The kernel looks at this much of a script (BINPRM_BUF_SIZE) and follows this many interpreters that are scripts. */
#define SCRIPT_HEAD_MAX 256
#define SCRIPT_DEPTH_MAX 5

/* Execute permission on a regular file. 0 or -errno, in execve(2)'s terms. */
static int check_executable(const struct spawn_identity *id, int dir, const char *path) {
	struct stat st;

	if (fstatat(dir, path, &st, 0) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	return identity_may(id, dir, path, X_OK);
}

/* The interpreter that a script's first line names, "" if the file is none or cannot be read (which only execve(2) must
 * be able to). The caller has checked that it is a regular file. ret may be where path is. */
static void read_interpreter(int dir, const char *path, char ret[SCRIPT_HEAD_MAX]) {
	CLEANUP(fd_close) int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char head[SCRIPT_HEAD_MAX + 1];
	const char *start;
	ssize_t n;

	ret[0] = '\0';
	n = fd < 0 ? -1 : read(fd, head, SCRIPT_HEAD_MAX);
	if (n < 2 || head[0] != '#' || head[1] != '!')
		return;
	head[n] = '\0';
	start = head + 2 + strspn(head + 2, " \t");
	(void)snprintf(ret, SCRIPT_HEAD_MAX, "%.*s", (int)strcspn(start, " \t\n"), start);
}

/* The program itself, then the chain of its interpreters. 0, or -errno; ret_interpreter says which one failed, "" the
 * program. */
static int check_program(const struct spawn_identity *id, int dir, const char *program, char ret_interpreter[SCRIPT_HEAD_MAX]) {
	char path[SCRIPT_HEAD_MAX];
	int r = check_executable(id, dir, program);

	ret_interpreter[0] = '\0';
	if (r < 0)
		return r;
	read_interpreter(dir, program, path);
	for (unsigned depth = 0; path[0]; depth++) {
		r = depth < SCRIPT_DEPTH_MAX ? check_executable(id, dir, path) : -ELOOP;
		if (r < 0) {
			memcpy(ret_interpreter, path, SCRIPT_HEAD_MAX);
			return r;
		}
		read_interpreter(dir, path, path);
	}
	return 0;
}

void probe_explain(const struct spawn_identity *id, const char *directory, const char *program, struct spawn_error *error) {
	CLEANUP(fd_close) int dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char interpreter[SCRIPT_HEAD_MAX];
	int r;

	if (dir < 0 || (error->error != ENOENT && error->error != EACCES && error->error != ELOOP))
		return;
	r = check_program(id, dir, program, interpreter);
	if (r == -error->error && interpreter[0])
		memcpy(error->interpreter, interpreter, sizeof(error->interpreter));
	else if (r == 0 && error->error == ENOENT)
		error->loader = true;
}

int probe_handler(const struct config_handler *handler, const struct spawn_identity *id, struct spawn_error *error) {
	CLEANUP(fd_close) int dir = open(handler->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char interpreter[SCRIPT_HEAD_MAX];
	int r;

	if (dir < 0)
		return spawn_error_set(error, SPAWN_DIRECTORY, errno, handler->directory);
	/* "" with AT_EMPTY_PATH would need a newer kernel; the directory's own "." asks the same. */
	r = identity_may(id, dir, ".", X_OK);
	if (r < 0)
		return spawn_error_set(error, SPAWN_DIRECTORY, -r, handler->directory);
	r = check_program(id, dir, handler->command[0], interpreter);
	if (r < 0) {
		(void)spawn_error_set(error, SPAWN_EXECUTE, -r, handler->command[0]);
		memcpy(error->interpreter, interpreter, sizeof(error->interpreter));
	}
	return r;
}
