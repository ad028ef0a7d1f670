/* SPDX-License-Identifier: MIT */
/* One worker: a process that lives on, and the conversation with it. It gets a message at a time on its stdin (feed.h) and answers it with
 * a line on its stdout (worker_answer.h). The process is a run without an end of its own, so that time limits, stops and the
 * killing of whole trees are those of run.h. */
#pragma once

#include "base/list.h"
#include "handler/feed.h"
#include "handler/program.h"
#include "handler/run.h"

enum worker_state {
	WORKER_IDLE,	  /* waits for a message */
	WORKER_WRITING,	  /* has a message in hand that it has not taken to its end; if it has answered already, that is kept */
	WORKER_ANSWERING, /* was given all of a message, and has not answered it */
	WORKER_LEAVING,	  /* gets nothing any more: its stdin was closed, or it is being killed, or has ended; nothing that it says
			     counts. If it had a message in hand that has failed, which is told when it has ended */
};

struct worker;

struct worker_callbacks {
	/* It has answered, and waits for the next message; or its process has ended meanwhile, and it is LEAVING. Before the message's
	 * end is told. */
	void (*answered)(struct worker *w, void *userdata);
	/* A line on stderr while it had no message in hand, as in run_callbacks. */
	void (*line)(struct worker *w, const char *text, size_t len, bool cut, void *userdata);
	/* Its process has ended. The message that it had in hand waits for worker_report. The worker may be freed here. */
	void (*ended)(struct worker *w, const struct run_result *result, void *userdata);
};

/* Owned by its pool. */
struct worker {
	struct list node;      /* the pool's: all workers */
	struct list idle_node; /* the pool's: those that are IDLE */
	struct run *run;       /* owned */
	const struct program *program; /* borrowed */
	const struct worker_callbacks *callbacks; /* borrowed */
	void *userdata;
	enum worker_state state;
	unsigned n_answers;  /* so far */
	unsigned generation; /* of what keeps it from secrets (program.h) */
	bool told_to_leave;  /* by worker_retire */
	const char *problem; /* static; the rule that it broke, or what shows that it is about to end; or NULL */
	bool is_expelled;    /* it is being killed for its problem */
	int error; /* a positive errno: why the message in hand could not be written to it, for which it was stopped; else 0 */
	/* Of the message in hand: */
	const struct run_callbacks *message_callbacks; /* borrowed; NULL: there is none */
	void *message_userdata;
	uint64_t given_usec;
	struct feed feed;
	bool is_watched; /* stdin is */
	bool has_answer;
	struct worker_answer answer; /* its reason points into line */
	size_t len;		     /* of line */
	char line[WORKER_ANSWER_MAX];
};

/* Starts a worker, which is IDLE. All that is passed is borrowed until worker_free. As run_start. */
int worker_new(const struct program *p, const struct worker_callbacks *callbacks, void *userdata, struct spawn_error *error,
	       struct worker **ret);
/* A process that runs is killed at once with all that descends from it; a message in hand is not told of. NULL-safe, returns NULL. */
struct worker *worker_free(struct worker *w);
DEFINE_CLEANUP(struct worker *, worker_free);

/* Gives it a message, which is borrowed until its end is told: by `callbacks->ended`, from the event loop, once. Until then `line` gets
 * what it writes to stderr. -EPIPE: nobody is there to read it, or has spoken out of turn: nothing was written, and the worker is
 * LEAVING. Another -errno (-ENOMEM ...): nothing was written, and it is still IDLE. */
int worker_give(struct worker *w, const struct message *m, unsigned attempt, const struct run_callbacks *callbacks, void *userdata);

/* Closes the stdin of one that is IDLE. It has handler.kill_grace to leave, before it is stopped as after a timeout. */
void worker_retire(struct worker *w);

/* In the callback `ended`, before worker_report: whether it had a message in hand and has read something of it. */
bool worker_has_looked(const struct worker *w);
/* In the callback `ended`: tells the end of the message that it had in hand, if any. */
void worker_report(struct worker *w, const struct run_result *result);
