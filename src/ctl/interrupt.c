/* SPDX-License-Identifier: MIT */
#include "ctl/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#define LAST 3

static int pipe_fds[2] = {-1, -1};
static volatile sig_atomic_t count;

static void on_signal(int number) {
	int saved = errno;

	count++;
	(void)!write(pipe_fds[1], "", 1);
	if (count >= LAST) {
		(void)signal(number, SIG_DFL);
		(void)raise(number);
	}
	errno = saved;
}

/* What is ignored, as SIGINT is by what a shell has started in the background, stays so. */
static void catch (int number, const struct sigaction *action) {
	struct sigaction old;

	if (sigaction(number, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
		(void)sigaction(number, action, NULL);
}

int interrupt_catch(void) {
	struct sigaction action = {.sa_handler = on_signal};

	if (pipe_fds[0] >= 0)
		return 0;
	if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	(void)sigemptyset(&action.sa_mask);
	catch (SIGINT, &action);
	catch (SIGTERM, &action);
	/* Nobody who reads what we say, as after "| head", is no reason to leave messages on their way. */
	(void)signal(SIGPIPE, SIG_IGN);
	return 0;
}

unsigned interrupt_count(void) {
	return (unsigned)count;
}

int interrupt_fd(void) {
	return pipe_fds[0];
}

void interrupt_clear(void) {
	char buf[16];

	while (pipe_fds[0] >= 0 && read(pipe_fds[0], buf, sizeof(buf)) > 0)
		;
}
