/* SPDX-License-Identifier: MIT */
#include "handler/run.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "handler/executor.h"
#include "handler/input.h"

/* The descriptors of a handler before it has them. */
struct child_ends {
	int fds[4];
};

static void child_ends_close(struct child_ends *ends) {
	for (size_t i = 0; i < ARRAY_SIZE(ends->fds); i++)
		ends->fds[i] = fd_close(ends->fds[i]);
}

static inline void child_ends_close_cleanup(struct child_ends *ends) {
	child_ends_close(ends);
}

/* What it leaves behind has to go with it. */
bool run_is_stopping(const struct run *r) {
	return r->state == RUN_STATE_TERMINATING || r->state == RUN_STATE_KILLING;
}

void run_set_state(struct run *r, enum run_state state) {
	switch (state) {
	case RUN_STATE_RUNNING:
		assert(r->state == RUN_STATE_NEW);
		break;
	case RUN_STATE_TERMINATING:
		assert(r->state == RUN_STATE_RUNNING);
		break;
	case RUN_STATE_KILLING:
		assert(r->state == RUN_STATE_RUNNING || r->state == RUN_STATE_TERMINATING);
		break;
	case RUN_STATE_REAPED:
		assert(r->state == RUN_STATE_RUNNING || r->state == RUN_STATE_TERMINATING ||
		       r->state == RUN_STATE_KILLING);
		break;
	case RUN_STATE_ENDED:
		assert(r->state == RUN_STATE_REAPED);
		break;
	case RUN_STATE_NEW:
	default:
		assert(!"a state that no run enters");
	}
	r->executor->n_stopping -= run_is_stopping(r);
	r->state = state;
	r->executor->n_stopping += run_is_stopping(r);
}

/* Output. */

static void pass_line(int stream, const char *text, size_t len, bool cut, void *userdata) {
	struct run *r = userdata;

	if (!r->callbacks->line)
		return;
	r->in_line = true;
	r->callbacks->line(r, stream, text, len, cut, r->userdata);
	r->in_line = false;
}

static int stream_number(const struct run_stream *s) {
	return s == s->run->streams ? 1 : 2;
}

static void stream_close(struct run_stream *s) {
	if (s->fd >= 0) {
		executor_unwatch(s);
		s->fd = fd_close(s->fd);
	}
}

/* A worker's stdout is no lines for the log. */
static bool is_raw(const struct run_stream *s) {
	return s->run->callbacks->bytes && s == s->run->streams;
}

static void stream_end(struct run_stream *s) {
	stream_close(s);
	if (is_raw(s))
		s->run->callbacks->bytes(s->run, NULL, 0, s->run->userdata);
	else
		output_end(&s->run->output, stream_number(s), pass_line, s->run);
}

static bool is_captured(const struct run_stream *s) {
	return s->run->captures && stream_number(s) == STDOUT_FILENO;
}

static void feed(struct run_stream *s, const char *data, size_t len) {
	if (is_captured(s))
		capture_feed(&s->run->capture, data, len);
	else if (is_raw(s))
		s->run->callbacks->bytes(s->run, data, len, s->run->userdata);
	else
		output_feed(&s->run->output, stream_number(s), data, len, pass_line, s->run);
}

/* What the handler wrote before it ended is all in the pipe. What others go on writing comes behind that, and is not waited for. */
static void read_what_is_there(struct run_stream *s) {
	char *buffer = s->run->executor->buffer;
	int left = 0;

	(void)ioctl(s->fd, FIONREAD, &left);
	while (left > 0) {
		ssize_t n = read(s->fd, buffer, left < EXECUTOR_BUFFER_SIZE ? (size_t)left : EXECUTOR_BUFFER_SIZE);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		feed(s, buffer, (size_t)n);
		left -= (int)n;
	}
}

void run_read(struct run_stream *s, uint32_t events, bool last) {
	char *buffer = s->run->executor->buffer;
	ssize_t n = 0;

	if (last) {
		read_what_is_there(s);
		stream_end(s);
		return;
	}
	/* A hang-up alone says that there is nothing to read, and never will be. */
	if (events & EPOLLIN) {
		n = read(s->fd, buffer, EXECUTOR_BUFFER_SIZE);
		if (n > 0)
			feed(s, buffer, (size_t)n);
	}
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		stream_end(s);
}

/* Start. */

/* What does not come to us: the daemon's own stdout or stderr, or nothing. */
static int open_elsewhere(int i, enum config_output output, int *ret_child_fd) {
	int fd = output == CONFIG_OUTPUT_INHERIT ? fcntl(i + 1, F_DUPFD_CLOEXEC, 4) : open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	fd = input_above_stdio(fd);
	if (fd < 0)
		return fd;
	*ret_child_fd = fd;
	return 0;
}

/* A pipe that the handler writes to; our end does not block. */
static int open_pipe(struct run *r, int i, int *ret_child_fd) {
	struct run_stream *s = r->streams + i;
	int fds[2], child_fd, error;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	s->fd = fds[0];
	child_fd = input_above_stdio(fds[1]);
	if (child_fd < 0)
		return child_fd;
	error = fd_set_nonblock(s->fd);
	if (error == 0)
		error = executor_watch(s);
	if (error < 0) {
		fd_close(child_fd);
		return error;
	}
	*ret_child_fd = child_fd;
	return 0;
}

int run_open_output(struct run *r, int i, enum config_output output, int *ret_child_fd) {
	bool wanted = output == CONFIG_OUTPUT_LOG || is_captured(r->streams + i);

	/* The last lines of stderr tell why a message has failed. */
	if (wanted || (output == CONFIG_OUTPUT_DISCARD && i + 1 == STDERR_FILENO))
		return open_pipe(r, i, ret_child_fd);
	return open_elsewhere(i, output, ret_child_fd);
}

static int open_descriptors(struct run *r, const struct program *p, const struct message *m, unsigned attempt,
			    struct child_ends *ends, struct spawn_error *error) {
	enum config_metadata metadata = p->queue->handler.metadata;
	int result = input_open(p->queue, m, attempt, &ends->fds[0]);

	if (result == 0 && (metadata == CONFIG_METADATA_FD3 || metadata == CONFIG_METADATA_BOTH))
		result = input_open_metadata(m, &ends->fds[3]);
	if (result < 0)
		return spawn_error_set(error, SPAWN_INPUT, -result, NULL);
	for (int i = 0; i < 2; i++) {
		result = run_open_output(r, i, p->queue->handler.output, &ends->fds[i + 1]);
		if (result < 0)
			return spawn_error_set(error, SPAWN_OUTPUT, -result, NULL);
	}
	return 0;
}

/* Makes the environment and spawns the handler. */
static int launch(struct run *r, const struct program *p, const struct message *m, unsigned attempt, size_t message_max,
		  const struct child_ends *ends, struct spawn_error *error) {
	const struct config_queue *queue = p->queue;
	struct executor *e = r->executor;
	struct environment *env = &e->environment;
	struct spawn_plan plan;
	int result = program_plan(p, &plan, error);

	if (result < 0)
		return result;
	result = environment_build(env, p->identity.home, p->identity.name, queue, m, attempt, message_max);
	if (result == 0 && env->n_omitted > 0) {
		free(r->omissions);
		r->omissions = strdup(strbuf_str(&env->omitted));
		result = r->omissions ? 0 : -ENOMEM;
	}
	if (result < 0)
		return spawn_error_set(error, SPAWN_PREPARE, -result, NULL);
	plan.argv = e->arguments.vector;
	plan.envp = env->vector;
	memcpy(plan.fds, ends->fds, sizeof(plan.fds));
	r->started_usec = clock_now_usec();
	return spawn(&plan, error, &r->pid);
}

/* A message must not be able to make execve(2) fail, which pauses the queue: if the system's limit is lower than usual, headers
 * are left out, and if that is not enough because of its arguments, it is the message that is refused. */
static int launch_within_limits(struct run *r, const struct program *p, const struct message *m, unsigned attempt,
				const struct child_ends *ends, struct spawn_error *error) {
	struct executor *e = r->executor;
	size_t taken = e->arguments.message_size;
	size_t left = ENVIRONMENT_MESSAGE_SMALL > taken ? ENVIRONMENT_MESSAGE_SMALL - taken : 0;
	int result = launch(r, p, m, attempt, ENVIRONMENT_MESSAGE_MAX - taken, ends, error);

	if (result == -E2BIG && e->environment.message_size > left)
		result = launch(r, p, m, attempt, left, ends, error);
	if (result == -E2BIG && taken > ENVIRONMENT_MESSAGE_SMALL)
		return arguments_refuse_size(&e->arguments);
	return result;
}

struct run *run_new(struct executor *e, const struct config_handler *handler, const struct run_callbacks *callbacks,
		    void *userdata) {
	struct run *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->executor = e;
	list_init(&r->node);
	list_init(&r->step);
	r->state = RUN_STATE_NEW;
	r->end = RUN_EXITED;
	r->kill_grace_usec = handler->kill_grace_usec;
	capture_init(&r->capture, handler->max_output);
	r->leaves = handler->descendants == CONFIG_DESCENDANTS_LEAVE;
	r->callbacks = callbacks;
	r->userdata = userdata;
	for (int i = 0; i < 2; i++)
		r->streams[i] = (struct run_stream){.run = r, .fd = -1};
	r->input = (struct run_stream){.run = r, .fd = -1};
	return r;
}

struct run *run_new_stray(struct executor *e) {
	static const struct config_handler none;
	struct run *r = run_new(e, &none, NULL, NULL);

	if (!r)
		return NULL;
	r->deadline_usec = USEC_INFINITY;
	list_append(&e->runs, &r->node);
	return r;
}

void run_free_stray(struct run *r) {
	if (!r)
		return;
	list_remove(&r->node);
	free(r->descendants);
	free(r);
}

int run_start(const struct program *p, const struct message *m, unsigned attempt, const struct run_callbacks *callbacks,
	      void *userdata, struct spawn_error *error, struct run **ret) {
	const struct config_handler *handler = &p->queue->handler;
	struct executor *e = p->executor;
	CLEANUP(run_free) struct run *r = run_new(e, handler, callbacks, userdata);
	CLEANUP(child_ends_close) struct child_ends ends = {{-1, -1, -1, -1}};
	int result;

	if (!r)
		return spawn_error_set(error, SPAWN_PREPARE, ENOMEM, NULL);
	r->captures = p->queue->reply.present || p->queue->forward.present;
	result = arguments_build(&e->arguments, &p->command, p->queue, m, attempt, ENVIRONMENT_MESSAGE_MAX);
	if (result < 0)
		return spawn_error_set(error, SPAWN_PREPARE, -result, NULL);
	if (result == ARGUMENTS_REFUSED)
		return RUN_REFUSED;
	result = open_descriptors(r, p, m, attempt, &ends, error);
	if (result < 0)
		return result;
	/* While nothing has happened that cannot be undone; counted from spawning, which is later by nothing that
	 * matters. */
	result = executor_arm(e, clock_add_usec(clock_now_usec(), handler->timeout_usec));
	if (result < 0)
		return spawn_error_set(error, SPAWN_PREPARE, -result, NULL);
	result = launch_within_limits(r, p, m, attempt, &ends, error);
	if (result != 0)
		return result;
	r->deadline_usec = clock_add_usec(r->started_usec, handler->timeout_usec);
	run_set_state(r, RUN_STATE_RUNNING);
	executor_add(e, r);
	*ret = TAKE(r);
	return 0;
}

/* End. */

static void run_enter_killing(struct run *r) {
	run_set_state(r, RUN_STATE_KILLING);
	r->deadline_usec = USEC_INFINITY;
	executor_signal_soon(r);
}

static void run_terminate(struct run *r, enum run_end why) {
	r->end = why;
	run_set_state(r, RUN_STATE_TERMINATING);
	r->deadline_usec = clock_add_usec(clock_now_usec(), r->kill_grace_usec);
	executor_signal_soon(r);
	/* Without a timer the grace would never end. */
	if (executor_arm(r->executor, r->deadline_usec) < 0)
		run_enter_killing(r);
}

void run_expire(struct run *r) {
	if (r->state == RUN_STATE_RUNNING)
		run_terminate(r, RUN_TIMEOUT);
	else if (r->state == RUN_STATE_TERMINATING)
		run_enter_killing(r);
}

void run_stop(struct run *r) {
	if (r->state == RUN_STATE_RUNNING)
		run_terminate(r, RUN_STOPPED);
}

void run_time_out(struct run *r) {
	if (r->state == RUN_STATE_RUNNING)
		run_terminate(r, RUN_TIMEOUT);
}

void run_kill(struct run *r) {
	if (r->state != RUN_STATE_RUNNING && r->state != RUN_STATE_TERMINATING)
		return;
	if (r->state == RUN_STATE_RUNNING)
		r->end = RUN_STOPPED;
	run_enter_killing(r);
}

void run_finish(struct run *r) {
	bool signaled = WIFSIGNALED(r->wait_status);
	struct run_result result;

	/* Whoever else holds the other ends (a grandchild) is not waited for. */
	for (int i = 0; i < 2; i++)
		if (r->streams[i].fd >= 0)
			run_read(r->streams + i, EPOLLIN, true);
	result = (struct run_result){
		.end = r->end == RUN_EXITED && signaled ? RUN_SIGNALED : r->end,
		.status = signaled ? WTERMSIG(r->wait_status) : WEXITSTATUS(r->wait_status),
		.signaled = signaled,
		.dumped = signaled && WCOREDUMP(r->wait_status),
		.incomplete = r->incomplete,
		.duration_usec = r->ended_usec - r->started_usec,
		.output_bytes = r->output.bytes + r->capture.bytes,
		.output_dropped = r->output.dropped,
		.output_too_large = capture_is_too_large(&r->capture),
		.output_error = r->capture.error,
	};
	run_set_state(r, RUN_STATE_ENDED);
	r->callbacks->ended(r, &result, r->userdata);
}

struct run *run_free(struct run *r) {
	if (!r)
		return NULL;
	assert(!r->in_line);
	/* KILLING and no longer due: done already. */
	if (r->state == RUN_STATE_RUNNING || r->state == RUN_STATE_TERMINATING ||
	    (r->state == RUN_STATE_KILLING && list_is_linked(&r->step))) {
		r->targeted = true;
		kill_targeted(r->executor);
	}
	r->executor->n_stopping -= run_is_stopping(r);
	list_remove(&r->step);
	executor_forget(r);
	for (int i = 0; i < 2; i++)
		stream_close(r->streams + i);
	capture_clear(&r->capture);
	run_close_input(r);
	free(r->descendants);
	free(r->omissions);
	free(r);
	return NULL;
}

const char *run_refusal(const struct program *p) {
	return p->executor->arguments.refusal;
}

int run_take_output(struct run *r, struct message **ret) {
	assert(r->state == RUN_STATE_ENDED && r->captures);
	return capture_take(&r->capture, ret);
}

const char *run_omissions(const struct run *r) {
	return r->omissions;
}

pid_t run_pid(const struct run *r) {
	return r->pid;
}

uint64_t run_started_usec(const struct run *r) {
	return r->started_usec;
}
