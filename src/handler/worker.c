/* SPDX-License-Identifier: MIT */
#include "handler/worker.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "handler/executor.h"

static void set_state(struct worker *w, enum worker_state state) {
	switch (state) {
	case WORKER_IDLE:
		assert(w->state == WORKER_WRITING || w->state == WORKER_ANSWERING);
		break;
	case WORKER_WRITING:
		assert(w->state == WORKER_IDLE);
		break;
	case WORKER_ANSWERING:
		assert(w->state == WORKER_WRITING);
		break;
	case WORKER_LEAVING:
		assert(w->state != WORKER_LEAVING);
		break;
	}
	w->state = state;
}

static void unwatch(struct worker *w) {
	if (w->is_watched)
		executor_unwatch_input(&w->run->input);
	w->is_watched = false;
}

/* It is given nothing any more. */
static void leave(struct worker *w) {
	unwatch(w);
	list_remove(&w->idle_node);
	set_state(w, WORKER_LEAVING);
}

/* It has broken a rule: nobody knows any more which of its lines would answer which message. */
static void expel(struct worker *w, const char *problem) {
	w->problem = problem;
	w->is_expelled = true;
	leave(w);
	run_kill(w->run);
}

/* Something of our own has failed: neither the worker nor the message is to blame, but the worker may have half of it. */
static void give_up(struct worker *w, int error) {
	w->error = error;
	leave(w);
	run_kill(w->run);
}

/* The process may have ended, or been told to, and the loop not have come to it yet. */
static bool is_up(const struct worker *w) {
	return w->run->state == RUN_STATE_RUNNING;
}

/* It has handler.kill_grace to end by itself, so that its own status is seen. Without a timer the grace would never end. */
static void let_end(struct worker *w) {
	struct run *r = w->run;
	uint64_t end = clock_add_usec(clock_now_usec(), r->kill_grace_usec);

	leave(w);
	if (!is_up(w))
		return;
	if (end < r->deadline_usec)
		r->deadline_usec = end;
	if (executor_arm(r->executor, r->deadline_usec) < 0) {
		w->is_expelled = w->problem != NULL;
		run_kill(r);
	}
}

/* --- the end of a message ------------------------------------------------------------------------------------------- */

static void tell_end(struct worker *w, const struct run_result *result) {
	const struct run_callbacks *callbacks = TAKE(w->message_callbacks);

	w->feed.message = NULL;
	callbacks->ended(w->run, result, w->message_userdata);
}

/* What it wrote to stderr before it answered belongs to the message. */
static void read_complaints(struct worker *w) {
	struct run_stream *s = &w->run->streams[1];

	if (is_up(w))
		executor_read_first(s);
	else if (s->fd >= 0)
		run_read(s, EPOLLIN, true);
}

static void finish(struct worker *w) {
	struct run *r = w->run;
	struct run_result result;

	read_complaints(w);
	result = (struct run_result){.end = RUN_ANSWERED,
				     .answer = w->answer,
				     .duration_usec = clock_now_usec() - w->given_usec,
				     .output_bytes = r->output.bytes,
				     .output_dropped = r->output.dropped};
	r->deadline_usec = USEC_INFINITY;
	w->n_answers++;
	w->has_answer = false;
	w->len = 0;
	if (is_up(w))
		set_state(w, WORKER_IDLE);
	else
		leave(w);
	w->callbacks->answered(w, w->userdata);
	tell_end(w, &result);
}

/* Whether every byte that it was given is still in the pipe. */
static bool is_untouched(const struct worker *w) {
	int left = 0;

	return ioctl(w->run->input.fd, FIONREAD, &left) == 0 && left >= 0 && (uint64_t)left == w->feed.written;
}

bool worker_has_looked(const struct worker *w) {
	return w->message_callbacks && !is_untouched(w);
}

/* The message is written and answered. An answer to what was not looked at is none: it may belong to the message before, and
 * those that follow to the one before theirs. */
static void conclude(struct worker *w) {
	if (is_untouched(w))
		expel(w, "the worker answered before it had read anything of the message");
	else
		finish(w);
}

/* --- what it writes --------------------------------------------------------------------------------------------------- */

/* End of file. Mostly the process is about to end, and its status says more. */
static void on_silence(struct worker *w) {
	w->problem = "the worker closed its standard output";
	let_end(w);
}

/* Takes what came as the answer, or a part of it. Returns what is wrong with it, or NULL. */
static const char *take(struct worker *w, const char *data, size_t len) {
	const char *newline = memchr(data, '\n', len);
	size_t n = newline ? (size_t)(newline - data) : len;

	if (w->state == WORKER_IDLE)
		return "the worker wrote something without a message to answer";
	if (w->has_answer)
		return "the worker wrote more than one line";
	if (n > sizeof(w->line) - w->len)
		return "the worker's answer is longer than 4096 bytes";
	memcpy(w->line + w->len, data, n);
	w->len += n;
	if (!newline)
		return NULL;
	/* Which of the two is the answer? */
	if (n + 1 < len)
		return "the worker wrote more than one line";
	if (worker_answer_parse(w->line, w->len, &w->answer) < 0)
		return "the worker's answer is none of ack, requeue, retry and reject";
	w->has_answer = true;
	return NULL;
}

static void on_bytes(struct run *r, const char *data, size_t len, void *userdata) {
	struct worker *w = userdata;
	const char *problem;

	/* What it says once it was told to stop is no answer. */
	if (w->state == WORKER_LEAVING || r->end != RUN_EXITED)
		return;
	if (len == 0) {
		on_silence(w);
		return;
	}
	problem = take(w, data, len);
	if (problem)
		expel(w, problem);
	else if (w->has_answer && w->state == WORKER_ANSWERING)
		conclude(w);
}

static void on_line(struct run *r, int stream, const char *text, size_t len, bool cut, void *userdata) {
	struct worker *w = userdata;

	if (!w->message_callbacks)
		w->callbacks->line(w, text, len, cut, w->userdata);
	else if (w->message_callbacks->line)
		w->message_callbacks->line(r, stream, text, len, cut, w->message_userdata);
}

/* --- what it is given ------------------------------------------------------------------------------------------------- */

/* After feed_write. */
static void advance(struct worker *w, int result) {
	if (result == FEED_MORE && !w->is_watched) {
		result = executor_watch_input(&w->run->input);
		w->is_watched = result == 0;
		if (result == 0)
			return;
	}
	if (result == FEED_MORE)
		return;
	if (result == -EPIPE) {
		w->problem = "the worker closed its standard input before it had read the message";
		let_end(w);
		return;
	}
	if (result < 0) {
		give_up(w, -result);
		return;
	}
	unwatch(w);
	set_state(w, WORKER_ANSWERING);
	if (w->has_answer)
		conclude(w);
}

static int write_more(struct worker *w) {
	struct executor *e = w->run->executor;

	return feed_write(&w->feed, w->run->input.fd, e->buffer, sizeof(e->buffer));
}

static void on_writable(struct run *r, void *userdata) {
	struct worker *w = userdata;

	/* Who is being stopped reads no more, and would be found to be writable again and again. */
	if (w->state == WORKER_WRITING && is_up(w))
		advance(w, write_more(w));
	else
		unwatch(w);
}

/* Whether its stdout is silent, as it has to be: what is there before the message is given is no answer to it. */
static bool is_silent(struct worker *w) {
	struct run_stream *s = &w->run->streams[0];
	ssize_t n = read(s->fd, w->line, sizeof(w->line));

	if (n > 0)
		expel(w, "the worker wrote something without a message to answer");
	else if (n == 0)
		on_silence(w);
	return n < 0;
}

int worker_give(struct worker *w, const struct message *m, unsigned attempt, const struct run_callbacks *callbacks, void *userdata) {
	const struct config_queue *queue = w->program->queue;
	struct run *r = w->run;
	uint64_t now = clock_now_usec(), deadline = clock_add_usec(now, queue->handler.timeout_usec);
	int result;

	assert(w->state == WORKER_IDLE);
	if (!is_up(w)) {
		leave(w);
		return -EPIPE;
	}
	if (!is_silent(w))
		return -EPIPE;
	result = feed_begin(&w->feed, queue->name, m, attempt);
	if (result == 0)
		result = executor_arm(r->executor, deadline);
	if (result < 0)
		return result;
	result = write_more(w);
	if (result == -EPIPE && w->feed.written == 0) {
		w->problem = "the worker closed its standard input";
		let_end(w);
		return -EPIPE;
	}
	list_remove(&w->idle_node);
	set_state(w, WORKER_WRITING);
	w->message_callbacks = callbacks;
	w->message_userdata = userdata;
	w->given_usec = now;
	r->deadline_usec = deadline;
	output_renew(&r->output);
	advance(w, result);
	return 0;
}

void worker_retire(struct worker *w) {
	assert(w->state == WORKER_IDLE);
	w->told_to_leave = true;
	let_end(w);
	run_close_input(w->run);
}

/* --- its end ------------------------------------------------------------------------------------------------------------ */

void worker_report(struct worker *w, const struct run_result *process) {
	struct run_result result = *process;
	/* Whom we wanted to kill for what it did may have gone before, by itself. */
	bool killed = w->is_expelled && process->signaled && process->status == SIGKILL;

	if (!w->message_callbacks)
		return;
	result.duration_usec = clock_now_usec() - w->given_usec;
	result.unanswered = true;
	if (w->error) {
		result.end = RUN_STOPPED;
		result.problem = "the message could not be written to the worker";
	} else if (killed || (process->end == RUN_TIMEOUT && w->problem)) {
		result.end = RUN_MISBEHAVED;
		result.problem = w->problem;
	} else if (w->is_expelled || process->end == RUN_EXITED || process->end == RUN_SIGNALED) {
		result.end = process->signaled ? RUN_SIGNALED : RUN_EXITED;
		result.problem = "the worker ended without an answer";
		if (is_untouched(w))
			result.end = RUN_UNTRIED;
	}
	tell_end(w, &result);
}

static void on_ended(struct run *r, const struct run_result *result, void *userdata) {
	struct worker *w = userdata;

	if (w->state != WORKER_LEAVING)
		leave(w);
	w->callbacks->ended(w, result, w->userdata);
}

static const struct run_callbacks run_callbacks = {
	.line = on_line,
	.ended = on_ended,
	.bytes = on_bytes,
	.writable = on_writable,
};

int worker_new(const struct program *p, const struct worker_callbacks *callbacks, void *userdata, struct spawn_error *error,
	       struct worker **ret) {
	CLEANUP(worker_free) struct worker *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return spawn_error_set(error, SPAWN_PREPARE, ENOMEM, NULL);
	list_init(&w->node);
	list_init(&w->idle_node);
	w->program = p;
	w->callbacks = callbacks;
	w->userdata = userdata;
	w->state = WORKER_IDLE;
	r = run_start_worker(p, &run_callbacks, w, error, &w->run);
	if (r < 0)
		return r;
	w->generation = program_generation(p);
	*ret = TAKE(w);
	return 0;
}

struct worker *worker_free(struct worker *w) {
	if (!w)
		return NULL;
	list_remove(&w->node);
	list_remove(&w->idle_node);
	w->run = run_free(w->run);
	feed_clear(&w->feed);
	free(w);
	return NULL;
}
