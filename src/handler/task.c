/* SPDX-License-Identifier: MIT */
#include "handler/task.h"

#include <errno.h>

#include "handler/worker.h"

struct task {
	struct pool *pool;     /* borrowed */
	struct run *run;       /* owned; NULL: a worker's */
	struct worker *worker; /* borrowed from the pool; NULL: a run's; gone once the message has ended */
	bool ended;
	const struct task_callbacks *callbacks; /* borrowed */
	void *userdata;
};

static void on_line(struct run *r, int stream, const char *text, size_t len, bool cut, void *userdata) {
	struct task *t = userdata;

	t->callbacks->line(t, stream, text, len, cut, t->userdata);
}

static void on_run_ended(struct run *r, const struct run_result *result, void *userdata) {
	struct task *t = userdata;

	t->ended = true;
	t->callbacks->ended(t, result, t->userdata);
}

static const struct run_callbacks run_callbacks = {.line = on_line, .ended = on_run_ended};

int task_start(struct pool *pool, const struct message *m, unsigned attempt, const struct task_callbacks *callbacks, void *userdata,
	       struct spawn_error *error, struct task **ret) {
	const struct program *p = pool_program(pool);
	CLEANUP(task_free) struct task *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return spawn_error_set(error, SPAWN_PREPARE, ENOMEM, NULL);
	t->pool = pool;
	t->callbacks = callbacks;
	t->userdata = userdata;
	if (p->queue->handler.mode == CONFIG_MODE_WORKER)
		r = pool_give(pool, m, attempt, &run_callbacks, t, error, &t->worker);
	else
		r = run_start(p, m, attempt, &run_callbacks, t, error, &t->run);
	if (r != 0)
		return r;
	*ret = TAKE(t);
	return 0;
}

static struct run *run_of(const struct task *t) {
	return t->run ? t->run : t->worker->run;
}

const char *task_omissions(const struct task *t) {
	return t->run ? run_omissions(t->run) : NULL;
}

int task_take_output(struct task *t, struct message **ret) {
	return run_take_output(t->run, ret);
}

void task_stop(struct task *t) {
	run_stop(run_of(t));
}

void task_time_out(struct task *t) {
	run_time_out(run_of(t));
}

void task_kill(struct task *t) {
	run_kill(run_of(t));
}

struct task *task_free(struct task *t) {
	if (!t)
		return NULL;
	run_free(t->run);
	/* One that is done with this message has the next one in hand, or is gone. */
	if (t->worker && !t->ended)
		pool_abandon(t->pool, t->worker);
	free(t);
	return NULL;
}

bool task_is_stopping(const struct task *t) {
	return run_is_stopping(run_of(t));
}

bool task_is_worker(const struct task *t) {
	return t->worker != NULL;
}

pid_t task_pid(const struct task *t) {
	return run_pid(run_of(t));
}

uint64_t task_started_usec(const struct task *t) {
	return t->run ? run_started_usec(t->run) : t->worker->given_usec;
}
