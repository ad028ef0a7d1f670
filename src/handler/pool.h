/* SPDX-License-Identifier: MIT */
/* The workers of one queue: at most `concurrency` processes, started when a message needs one and none is idle. Where handlers are a
 * process per message (handler.mode), a pool has no workers, and is only what messages are given to (task.h). */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/macro.h"
#include "handler/program.h"
#include "handler/run.h"

struct pool;
struct worker;

/* Between workers that end before they have answered anything or looked at a message. */
#define POOL_DELAY_MIN_USEC (100 * USEC_PER_MSEC)
#define POOL_DELAY_MAX_USEC (30 * USEC_PER_SEC)

/* No worker is idle, and none may be started now: pool_callbacks.changed tells when to try again. */
#define POOL_NOT_NOW 2

struct pool_callbacks {
	/* A line that a worker wrote to stderr while it had no message, as in run_callbacks. */
	void (*line)(pid_t pid, const char *text, size_t len, bool cut, void *userdata);
	/* A message may be given that could not be given before, or pool_trouble or pool_leaving has changed. Never from within a
	 * function of this header. */
	void (*changed)(void *userdata);
};

/* All that is passed is borrowed, and outlives it. -ENOMEM, an errno of sd-event. */
int pool_new(sd_event *event, struct program *program, const struct pool_callbacks *callbacks, void *userdata,
	     struct pool **ret);
/* Workers are killed. The tasks have been freed before. NULL-safe, returns NULL. */
struct pool *pool_free(struct pool *p);
DEFINE_CLEANUP(struct pool *, pool_free);

const struct program *pool_program(const struct pool *p);

/* True if a message can be given now, as far as the pool is concerned. */
bool pool_is_ready(const struct pool *p);

/* For task.c: gives the message to a worker, the one that has become idle last, or a new one; see worker_give. 0; POOL_NOT_NOW;
 * -errno with `error` overwritten: no worker can be executed. */
int pool_give(struct pool *p, const struct message *m, unsigned attempt, const struct run_callbacks *callbacks, void *userdata,
	      struct spawn_error *error, struct worker **ret);
/* For task.c: frees a worker whose message is of no interest any more; it is killed. */
void pool_abandon(struct pool *p, struct worker *w);

/* No worker is started any more; each is told to leave, by the end of its stdin, as soon as it is idle, and has handler.kill_grace
 * to do so. */
void pool_close(struct pool *p);
/* Stops those that were told to leave: SIGTERM, grace, SIGKILL (now = false), or SIGKILL at once. */
void pool_stop(struct pool *p, bool now);

bool pool_is_empty(const struct pool *p);
/* How many workers have no message, and were told to leave, or are about to. */
unsigned pool_leaving(const struct pool *p);

/* Why new workers are started with a delay, one printable line; NULL: they are not. Borrowed until the next event. */
const char *pool_trouble(const struct pool *p);
