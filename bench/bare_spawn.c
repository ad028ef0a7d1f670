/* SPDX-License-Identifier: MIT */
/* bare_spawn COUNT PARALLEL SIZE COMMAND [ARGUMENT...]
 *
 * The yardstick of the benchmark: runs COMMAND so many times, so many at once, each with SIZE bytes on its standard
 * input, by posix_spawn and wait, and does nothing else: no broker, no captured output, no environment, no log. SIZE is at most
 * 65536, which a pipe holds before anybody reads. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BODY_MAX 65536

static void die(const char *what, int error) {
	fprintf(stderr, "bare_spawn: %s: %s\n", what, strerror(error));
	exit(1);
}

static void start(char **command, const char *body, size_t size) {
	static char path[] = "PATH=/usr/bin:/bin";
	static char *const no_environment[] = {path, NULL};
	posix_spawn_file_actions_t actions;
	int fds[2], r;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		die("pipe2", errno);
	if (size > 0 && write(fds[1], body, size) != (ssize_t)size)
		die("write", errno);
	close(fds[1]);
	r = posix_spawn_file_actions_init(&actions);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&actions, fds[0], STDIN_FILENO);
	if (r == 0)
		r = posix_spawn(&pid, command[0], &actions, NULL, command, no_environment);
	if (r != 0)
		die(command[0], r);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[0]);
}

static void await(void) {
	int status;
	pid_t pid;

	do {
		pid = waitpid(-1, &status, 0);
	} while (pid < 0 && errno == EINTR);
	if (pid < 0)
		die("waitpid", errno);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "bare_spawn: a run has failed: wait status %#x\n", (unsigned)status);
		exit(1);
	}
}

static unsigned long number(const char *s, unsigned long max) {
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(s, &end, 10);
	if (errno != 0 || *end != '\0' || end == s || n > max)
		die(s, EINVAL);
	return n;
}

int main(int argc, char **argv) {
	static char body[BODY_MAX];
	unsigned long count, parallel, size, started = 0, running = 0;

	if (argc < 5) {
		fprintf(stderr, "usage: bare_spawn COUNT PARALLEL SIZE COMMAND [ARGUMENT...]\n");
		return 64;
	}
	count = number(argv[1], 1000000000);
	parallel = number(argv[2], 10000);
	size = number(argv[3], BODY_MAX);
	if (parallel == 0)
		die(argv[2], EINVAL);
	memset(body, 'x', sizeof(body));

	while (started < count || running > 0) {
		while (started < count && running < parallel) {
			start(argv + 4, body, size);
			started++;
			running++;
		}
		await();
		running--;
	}
	return 0;
}
