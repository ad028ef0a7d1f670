/* SPDX-License-Identifier: MIT */
/* A message that is being handled, by a process of its own (run.h) or by a worker (pool.h): for whoever need not know which. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macro.h"
#include "handler/pool.h"
#include "handler/run.h"
#include "message/message.h"

/* Owned by whoever called task_start. */
struct task;

/* As run_callbacks. */
struct task_callbacks {
	void (*line)(struct task *t, int stream, const char *text, size_t len, bool cut, void *userdata);
	/* The task may be freed here. Of a worker it is told when it has answered: it may have its next message right afterwards. */
	void (*ended)(struct task *t, const struct run_result *result, void *userdata);
};

/* No worker is free, and none can be started now: pool_callbacks.changed tells when to try again. */
#define TASK_NOT_NOW POOL_NOT_NOW

/* Has the message handled. `callbacks` and `m` are borrowed until the task has ended or was freed. 0; TASK_NOT_NOW; RUN_REFUSED or
 * -errno, as run_start. */
int task_start(struct pool *pool, const struct message *m, unsigned attempt, const struct task_callbacks *callbacks, void *userdata,
	       struct spawn_error *error, struct task **ret);

/* As run_omissions; of a worker always NULL. */
const char *task_omissions(const struct task *t);

/* As run_take_output; only of a task whose output is kept, which no worker's is. */
int task_take_output(struct task *t, struct message **ret);

/* As run_stop, run_time_out and run_kill. A worker is stopped as a whole. */
void task_stop(struct task *t);
void task_time_out(struct task *t);
void task_kill(struct task *t);

/* As run_free; a worker that has the message in hand is killed. NULL-safe, returns NULL. */
struct task *task_free(struct task *t);
DEFINE_CLEANUP(struct task *, task_free);

/* As run_is_stopping. */
bool task_is_stopping(const struct task *t);
/* It is a worker's. */
bool task_is_worker(const struct task *t);

/* Of its process, until the end of the callback `ended`. */
pid_t task_pid(const struct task *t);
/* When the message was given to its process; monotonic. */
uint64_t task_started_usec(const struct task *t);
