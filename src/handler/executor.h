/* SPDX-License-Identifier: MIT */
/* What executor.c, kill.c, run.c and worker.c and run_worker.c share; nobody else includes it. One executor serves all runs with four event
 * sources in all (children, output, deadlines, signals that are due), so that a run costs the loop nothing but two
 * epoll_ctl(2). */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/list.h"
#include "handler/arguments.h"
#include "handler/capture.h"
#include "handler/environment.h"
#include "handler/output.h"
#include "handler/run.h"
#include "handler/strays.h"
#include "handler/tree.h"

enum run_state {
	RUN_STATE_NEW,         /* no process yet */
	RUN_STATE_RUNNING,     /* deadline: handler.timeout */
	RUN_STATE_TERMINATING, /* SIGTERM is due or was sent; deadline: handler.kill_grace */
	RUN_STATE_KILLING,     /* SIGKILL is due or was sent; no deadline */
	RUN_STATE_REAPED,      /* the process is gone; what is left of its output is delivered next */
	RUN_STATE_ENDED,       /* the caller was told, or is being told */
};

/* A process that descends from a handler. */
struct run_descendant {
	pid_t pid;
	uint64_t start; /* see struct tree_process */
};

/* Our end of stdout or stderr, or of a worker's stdin. */
struct run_stream {
	struct run *run;
	int fd; /* owned; -1 once at end of file */
};

/* Owned by whoever called run_start. */
struct run {
	struct executor *executor; /* borrowed */
	struct list node;          /* executor.runs: from spawning until reaped or freed */
	struct list step;        /* executor.due (TERMINATING, KILLING) or executor.reaped (REAPED): what comes next */
	struct run *same_bucket; /* executor.buckets: linked as long as node is */
	enum run_state state;
	enum run_end end; /* why it ends, as far as it is known */
	bool targeted;    /* kill.c is at work on it */
	bool swept;       /* it has ended while it was being stopped, and what it left behind was killed */
	bool incomplete;  /* see struct run_result */
	bool in_line;     /* the line callback is being called */
	bool leaves;      /* what it leaves behind when it ends by itself is left alone */
	pid_t pid;
	int wait_status; /* REAPED, ENDED: from wait(2) */
	uint64_t started_usec;
	uint64_t ended_usec; /* REAPED, ENDED */
	uint64_t deadline_usec;
	uint64_t kill_grace_usec;
	struct run_descendant *descendants; /* found so far, all but the handler itself; owned */
	size_t n_descendants;
	size_t n_descendants_allocated;
	const struct run_callbacks *callbacks; /* borrowed */
	void *userdata;
	char *omissions; /* owned; NULL if none */
	struct run_stream streams[2];
	struct run_stream input; /* of a worker; -1 for any other */
	struct output output;
	bool captures;		/* stdout goes to capture, not to output */
	struct capture capture;
};

#define EXECUTOR_BUCKETS 256
#define EXECUTOR_EVENTS 64
#define EXECUTOR_BUFFER_SIZE 65536

/* Owned by the manager. */
struct executor {
	sd_event *event;
	sd_event_source *child_source;  /* SIGCHLD */
	sd_event_source *output_source; /* epoll_fd */
	sd_event_source *timer_source;
	sd_event_source *due_source;           /* defer */
	int epoll_fd;                          /* output of all runs */
	struct list runs;                      /* struct run.node: those with a process that was not reaped */
	struct list due;                       /* struct run.step: a signal has to be sent */
	struct list reaped;                    /* struct run.step: its end has to be told */
	struct run *buckets[EXECUTOR_BUCKETS]; /* the same as runs, by pid */
	unsigned n_stopping;                   /* of these: run_is_stopping */
	struct strays strays;
	struct confine *confine; /* owned; NULL: there are no secrets */
	struct run *stray; /* owned; no run of anybody: stands for what handlers left behind while that is killed; pid 0 */
	struct tree_source proc;
	uint64_t armed_usec; /* when timer_source fires; USEC_INFINITY: it does not */
	struct environment environment; /* of the run that is being started; kept for its memory */
	struct argument_list arguments;	/* likewise */
	struct epoll_event
		events[EXECUTOR_EVENTS]; /* being dispatched: n_events of them, .data.ptr NULL if it is stale */
	int n_events;
	char buffer[EXECUTOR_BUFFER_SIZE]; /* output is read into it */
};

/* executor.c */
void executor_add(struct executor *e, struct run *r); /* a process was spawned */
void executor_forget(struct run *r);                  /* it was reaped, or nobody cares; harmless if it was not added */
struct run *executor_find(struct executor *e, pid_t pid); /* NULL if it is no handler's */
int executor_watch(struct run_stream *s);                 /* reads it when it is readable. -errno of epoll_ctl(2) */
void executor_unwatch(struct run_stream *s);              /* before its descriptor is closed, which ends the watching */
int executor_watch_input(struct run_stream *s); /* callbacks.writable when it takes something, or never will again. -errno */
void executor_unwatch_input(struct run_stream *s);
void executor_read_first(struct run_stream *s); /* reads it now if it is among what was found to be readable */
int executor_arm(struct executor *e, uint64_t deadline_usec); /* makes the timer fire then, or before. -errno */
void executor_signal_soon(struct run *r); /* in the next turn of the loop, sends the signal that its state calls for */

/* kill.c */
void kill_due(struct executor *e);      /* sends what is due */
void kill_targeted(struct executor *e); /* SIGKILL to the whole trees of all targeted runs, and untargets them */

/* run_worker.c */
/* Starts the program without a message, to stay: as a worker, whose stdin is a pipe that `input` is our end of, non-blocking, and
 * whose stdout goes to callbacks->bytes. It has no deadline. As run_start. */
int run_start_worker(const struct program *p, const struct run_callbacks *callbacks, void *userdata,
		     struct spawn_error *error, struct run **ret);
void run_close_input(struct run *r);

/* run.c */
/* Not started. NULL: no memory. */
struct run *run_new(struct executor *e, const struct config_handler *handler, const struct run_callbacks *callbacks,
		    void *userdata);
/* Makes streams[i] and the descriptor that becomes the handler's stdout (0) or stderr (1), above 3. -errno. */
int run_open_output(struct run *r, int i, enum config_output output, int *ret_child_fd);
struct run *run_new_stray(struct executor *e); /* for executor.stray; on the list of runs. NULL: no memory */
void run_free_stray(struct run *r);
void run_set_state(struct run *r, enum run_state state);
void run_expire(struct run *r);                                  /* its deadline has passed */
void run_read(struct run_stream *s, uint32_t events, bool last); /* reads a bounded amount; last: nothing will follow */
void run_finish(struct run *r); /* REAPED to ENDED: delivers the output and the end; the run may be gone afterwards */
