/* SPDX-License-Identifier: MIT */
/* One run of a handler for one message: from spawning the process to its end, with deadlines and captured output. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include "base/macro.h"
#include "config/config.h"
#include "handler/program.h"
#include "handler/spawn.h"
#include "handler/worker_answer.h"
#include "message/message.h"

/* Shared by all runs: reaps children, knows whose environment handlers get. Owned by the manager. */
struct executor;
struct confine;
struct run;

/* How a run ended, or what became of a message that a worker had. */
enum run_end {
	RUN_EXITED,   /* exit status in `status` */
	RUN_SIGNALED, /* killed by signal `status` that was not ours */
	RUN_TIMEOUT,  /* did not end in time and was stopped by us; `status` is as wait(2) told it, decoded by `signaled` */
	RUN_STOPPED,  /* run_stop or run_kill ended it, or, of a worker's message, what we could not do (`problem`); likewise */
	/* Of a worker's message only; all but the first are told when the worker has ended. */
	RUN_ANSWERED,	/* `answer` */
	RUN_MISBEHAVED, /* the worker did what the protocol does not allow (`problem`), and was killed for it */
	RUN_UNTRIED,	/* the worker had ended before it read anything of the message: nobody has seen it */
};

struct run_result {
	enum run_end end;
	int status;    /* exit status, or signal number if `signaled` */
	bool signaled; /* the process was killed by a signal */
	bool dumped;   /* and left a core */
	/* TIMEOUT, STOPPED: processes that descend from the handler may live on, because not all of them could be found (/proc
	 * cannot be read: no memory, no descriptors; or they multiply faster than they can be stopped) or signalled (they run as
	 * another user). What is in the handler's process group was sent SIGKILL all the same. */
	bool incomplete;
	uint64_t duration_usec; /* from spawning to reaping */
	uint64_t output_bytes;	/* written to stdout and stderr together, as far as it was read */
	uint64_t output_dropped; /* of these, not passed on because of RUN_LINE_MAX or RUN_OUTPUT_MAX */
	/* Of stdout, where it is kept for reply or forward: */
	bool output_too_large; /* more than handler.max_output: there is none to be taken */
	int output_error;      /* a positive errno: it could not be kept, likewise; else 0 */
	/* Of a worker's message: */
	struct worker_answer answer; /* ANSWERED; its reason is valid during the callback */
	bool unanswered;	     /* however the worker has ended: that is no ack */
	const char *problem;	     /* static; what the worker did wrong, if the way it ended does not tell; or NULL */
};

struct run_callbacks {
	/* One line of output that comes to us (handler.output; stdout not if it is kept) without its newline, at most RUN_LINE_MAX
	 * bytes, raw (escape it), valid during the call. stream is 1 or 2. `cut` says that something is missing after this text: of a line longer than RUN_LINE_MAX only
	 * the beginning is passed on, and once RUN_OUTPUT_MAX bytes of a stream (newlines included) were passed on, the line
	 * that goes beyond comes cut to what was left (maybe nothing), and no call for that stream follows. What is missing is
	 * counted in output_dropped. The run must not be freed here. May be NULL: output is read and thrown away. */
	void (*line)(struct run *r, int stream, const char *text, size_t len, bool cut, void *userdata);
	/* The handler's process has ended and its output was delivered. The run is still the caller's to free; it may be freed
	 * here. Called exactly once, from the event loop. */
	void (*ended)(struct run *r, const struct run_result *result, void *userdata);
	/* Of a worker (executor.h), NULL for any other: what came from stdout, in place of lines, with a length of 0 for its end; and
	 * that stdin, which is watched, takes more. */
	void (*bytes)(struct run *r, const char *data, size_t len, void *userdata);
	void (*writable)(struct run *r, void *userdata);
};

#define RUN_LINE_MAX 4096
#define RUN_OUTPUT_MAX 65536

/* A message that no handler can get, because of what its arguments would be: its own fault, and nothing was started. */
#define RUN_REFUSED 1

/* SIGCHLD must have been blocked by the caller, before any thread was made (-EBUSY otherwise). -errno. One executor per
 * process: it becomes the reaper of every child, and the subreaper of their orphans. Handlers die with the thread that
 * starts them, so all of this belongs to the main thread. */
int executor_new(sd_event *event, struct executor **ret);
/* Keeps handlers that run as the daemon's own user, and whose configuration says so, from reading this file or directory
 * (confine_add). Those that run go on as they began. -ENOMEM. */
int executor_protect(struct executor *e, const char *path);
/* Who keeps them. Borrowed; NULL: nobody. */
struct confine *executor_confine(const struct executor *e);
/* Runs must have been freed before. NULL-safe. */
struct executor *executor_free(struct executor *e);
DEFINE_CLEANUP(struct executor *, executor_free);

/* Starts the handler for the message. `p` and `callbacks` are borrowed until run_free, `m` for the call. `attempt`
 * is for AMQP_ATTEMPT; 0: unknown, not passed. A message without its body (body_state) must not get here.
 * 0; RUN_REFUSED, and run_refusal says why; or -errno with `error` (the caller's, overwritten) saying which step failed on what: the
 * message was not tried.
 *
 * The environment is PATH, HOME, USER, LANG, then handler.environment, then what the message says: TRACEPARENT and TRACESTATE
 * unless handler.metadata is "none"; if it is "env" or "both", AMQP_QUEUE, AMQP_EXCHANGE, AMQP_ROUTING_KEY, AMQP_DELIVERY_TAG,
 * AMQP_REDELIVERED ("true" or "false"), AMQP_ATTEMPT, AMQP_BODY_SIZE, a variable for each property that is present, and
 * AMQP_HEADER_<NAME>; a later one replaces an earlier one of the same name. */
int run_start(const struct program *p, const struct message *m, unsigned attempt, const struct run_callbacks *callbacks,
	      void *userdata, struct spawn_error *error, struct run **ret);

/* Why run_start has refused the message, good until it is called again: one printable line. */
const char *run_refusal(const struct program *p);

/* What of the message's metadata could not be put into the environment, and why: one printable line of at most about a
 * kilobyte, NULL if nothing was left out. Borrowed from the run. */
const char *run_omissions(const struct run *r);

/* In the callback `ended`: what the handler wrote to stdout, complete, as the body of a message that has nothing else; the caller's. Once,
 * and only if it was kept (see struct run_result). -ENOMEM, an errno of fcntl(2). */
int run_take_output(struct run *r, struct message **ret);

/* SIGTERM to the process group, SIGKILL to everything that descends from it after handler.kill_grace or when it has
 * ended before. The signal is sent in the next turn of the event loop, so that stopping many runs walks /proc once.
 * Idempotent; without effect on a run that is being stopped already, or has ended. */
void run_stop(struct run *r);
/* The same, as if handler.timeout were over: it ends as RUN_TIMEOUT. */
void run_time_out(struct run *r);
/* SIGKILL to everything that descends from it, in the next turn of the event loop. */
void run_kill(struct run *r);

/* Frees the run; a process that still runs is killed at once with all that descends from it, and reaped by the executor
 * later. NULL-safe. */
struct run *run_free(struct run *r);
DEFINE_CLEANUP(struct run *, run_free);

/* It was told to stop, for whatever reason, and has not ended yet. */
bool run_is_stopping(const struct run *r);

pid_t run_pid(const struct run *r);
/* When it was spawned; monotonic. */
uint64_t run_started_usec(const struct run *r);
