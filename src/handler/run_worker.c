/* SPDX-License-Identifier: MIT */
/* The process of a worker: a run that begins without a message, and is written to as long as it lives. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "handler/executor.h"
#include "handler/input.h"

/* A pipe that the worker reads from; our end does not block. */
static int open_input(struct run *r, int *ret_child_fd) {
	int fds[2], child_fd, error;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	r->input.fd = fds[1];
	child_fd = input_above_stdio(fds[0]);
	if (child_fd < 0)
		return child_fd;
	error = fd_set_nonblock(r->input.fd);
	if (error < 0) {
		fd_close(child_fd);
		return error;
	}
	*ret_child_fd = child_fd;
	return 0;
}

static int launch(struct run *r, const struct program *p, int input, int output, int errors, struct spawn_error *error) {
	struct environment *env = &r->executor->environment;
	struct spawn_plan plan;
	int result = program_plan(p, &plan, error);

	if (result < 0)
		return result;
	result = environment_build(env, p->identity.home, p->identity.name, p->queue, NULL, 0, 0);
	if (result < 0)
		return spawn_error_set(error, SPAWN_PREPARE, -result, NULL);
	plan.argv = p->command.fixed;
	plan.envp = env->vector;
	plan.fds[0] = input;
	plan.fds[1] = output;
	plan.fds[2] = errors;
	r->started_usec = clock_now_usec();
	return spawn(&plan, error, &r->pid);
}

int run_start_worker(const struct program *p, const struct run_callbacks *callbacks, void *userdata,
		     struct spawn_error *error, struct run **ret) {
	const struct config_handler *handler = &p->queue->handler;
	CLEANUP(run_free) struct run *r = run_new(p->executor, handler, callbacks, userdata);
	CLEANUP(fd_close) int input = -1;
	CLEANUP(fd_close) int output = -1;
	CLEANUP(fd_close) int errors = -1;
	int result;

	if (!r)
		return spawn_error_set(error, SPAWN_PREPARE, ENOMEM, NULL);
	result = open_input(r, &input);
	if (result < 0)
		return spawn_error_set(error, SPAWN_INPUT, -result, NULL);
	/* Its stdout comes to us whatever is configured: handler.output is about its stderr. */
	result = run_open_output(r, 0, CONFIG_OUTPUT_LOG, &output);
	if (result == 0)
		result = run_open_output(r, 1, handler->output, &errors);
	if (result < 0)
		return spawn_error_set(error, SPAWN_OUTPUT, -result, NULL);
	result = launch(r, p, input, output, errors, error);
	if (result < 0)
		return result;
	r->deadline_usec = USEC_INFINITY;
	run_set_state(r, RUN_STATE_RUNNING);
	executor_add(p->executor, r);
	*ret = TAKE(r);
	return 0;
}

void run_close_input(struct run *r) {
	if (r->input.fd >= 0) {
		executor_unwatch(&r->input);
		r->input.fd = fd_close(r->input.fd);
	}
}
