/* SPDX-License-Identifier: MIT */
#include "handler/pool.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "handler/worker.h"

#define TIMER_ACCURACY_USEC (10 * USEC_PER_MSEC)
#define LOOK_INTERVAL_USEC USEC_PER_SEC

/* Owned by its queue. */
struct pool {
	struct program *program;		/* borrowed */
	const struct pool_callbacks *callbacks; /* borrowed */
	void *userdata;
	struct list workers; /* owned; n of them */
	unsigned n;
	struct list idle; /* of these; the one that has become idle last is the first */
	bool closing;
	uint64_t looked_usec; /* when is_outdated has looked last */
	/* Workers that end before they have answered anything or looked at a message: */
	struct backoff backoff;
	sd_event_source *timer; /* owned; NULL: there are no workers */
	bool waiting;		/* until the timer fires no worker is started */
	char *trouble;		/* owned; until one has answered */
};

static const struct config_queue *queue_of(const struct pool *p) {
	return p->program->queue;
}

static bool has_workers(const struct pool *p) {
	return queue_of(p)->handler.mode == CONFIG_MODE_WORKER;
}

/* --- workers that fail --------------------------------------------------------------------------------------------------- */

/* "exit status 1", "killed by signal SEGV". */
static void describe_end(const struct run_result *result, char *buf, size_t size) {
	const char *name = result->signaled ? sigabbrev_np(result->status) : NULL;

	if (!result->signaled)
		(void)snprintf(buf, size, "exit status %d", result->status);
	else if (name)
		(void)snprintf(buf, size, "killed by signal %s", name);
	else
		(void)snprintf(buf, size, "killed by signal %d", result->status);
}

static void set_trouble(struct pool *p, const char *trouble) {
	free(p->trouble);
	p->trouble = trouble ? strdup(trouble) : NULL;
}

/* One has ended that has neither answered anything nor looked at a message. The first time is news; what follows is known. */
static void count_failure(struct pool *p, const char *how) {
	uint32_t random = 0;
	char text[192];
	uint64_t delay;
	bool news = p->backoff.attempts == 0;

	(void)!getrandom(&random, sizeof(random), GRND_NONBLOCK);
	delay = backoff_next_usec(&p->backoff, random);
	(void)snprintf(text, sizeof(text), "workers end before they have answered anything; the last: %s", how);
	log_event(LOG_EVENT_WORKERS_FAILING, news ? LOG_WARNING : LOG_DEBUG,
		  LOG_FIELDS(log_string("AMQP_QUEUE", queue_of(p)->name), log_string("AMQP_REASON", text)),
		  "queue=%s %s; messages wait, and the next worker is started in %" PRIu64 ".%02" PRIu64 " s%s", queue_of(p)->name, text,
		  delay / USEC_PER_SEC, delay % USEC_PER_SEC / (USEC_PER_SEC / 100), news ? ", then after longer delays" : "");
	set_trouble(p, text);
	p->waiting = true;
	/* Without the timer nothing would ever be started again. */
	if (sd_event_source_set_time(p->timer, clock_add_usec(clock_now_usec(), delay)) < 0 ||
	    sd_event_source_set_enabled(p->timer, SD_EVENT_ONESHOT) < 0)
		p->waiting = false;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
	struct pool *p = userdata;

	p->waiting = false;
	p->callbacks->changed(p->userdata);
	return 0;
}

static void count_success(struct pool *p) {
	if (p->backoff.attempts == 0)
		return;
	backoff_reset(&p->backoff);
	set_trouble(p, NULL);
	if (p->waiting)
		sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
	p->waiting = false;
	log_event(LOG_EVENT_WORKERS_RECOVERED, LOG_NOTICE, LOG_FIELDS(log_string("AMQP_QUEUE", queue_of(p)->name)),
		  "queue=%s a worker has answered: workers are started without delay again", queue_of(p)->name);
}

/* --- what workers tell ------------------------------------------------------------------------------------------------- */

static void on_answered(struct worker *w, void *userdata) {
	struct pool *p = userdata;
	unsigned max = queue_of(p)->handler.max_messages;

	count_success(p);
	if (w->state != WORKER_IDLE)
		return;
	if (p->closing || (max > 0 && w->n_answers >= max))
		worker_retire(w);
	else
		list_insert_before(p->idle.next, &w->idle_node);
}

static void on_line(struct worker *w, const char *text, size_t len, bool cut, void *userdata) {
	struct pool *p = userdata;

	p->callbacks->line(run_pid(w->run), text, len, cut, p->userdata);
}

/* Of a worker that had no message; otherwise the line of the message says it. */
static void log_end(const struct pool *p, const struct worker *w, const struct run_result *result, const char *how) {
	const struct log_field queue = log_string("AMQP_QUEUE", queue_of(p)->name);
	bool late = result->end == RUN_TIMEOUT;
	bool alone = result->end == RUN_EXITED || result->end == RUN_SIGNALED;
	const char *problem = alone ? NULL : w->problem;
	bool clean = !late && !problem && (result->end == RUN_STOPPED || (!result->signaled && result->status == 0));

	if (w->message_callbacks)
		return;
	log_event(LOG_EVENT_WORKER_ENDED, clean ? LOG_DEBUG : LOG_WARNING,
		  LOG_FIELDS(queue, log_string("AMQP_REASON", problem ? problem : how)),
		  "queue=%s a worker without a message has ended, pid=%d: %s%s%s%s", queue_of(p)->name, (int)run_pid(w->run), how,
		  problem ? "; " : "", problem ? problem : "", late ? "; it did not leave within handler.kill_grace" : "");
	if (result->incomplete)
		log_event(LOG_EVENT_HANDLER_UNSTOPPED, LOG_WARNING, LOG_FIELDS(queue),
			  "queue=%s what the worker that had pid=%d started may live on: not every process could be found or killed",
			  queue_of(p)->name, (int)run_pid(w->run));
}

static void on_ended(struct worker *w, const struct run_result *result, void *userdata) {
	struct pool *p = userdata;
	bool wanted = w->told_to_leave || p->closing || (result->end == RUN_STOPPED && !w->is_expelled);
	bool alone = result->end == RUN_EXITED || result->end == RUN_SIGNALED;
	char how[64];

	list_remove(&w->node);
	p->n--;
	describe_end(result, how, sizeof(how));
	if (w->error)
		log_event(LOG_EVENT_WORKER_ENDED, LOG_ERR,
			  LOG_FIELDS(log_string("AMQP_QUEUE", queue_of(p)->name), log_string("AMQP_REASON", strerror(w->error))),
			  "queue=%s the message could not be written to the worker that had pid=%d, which was stopped: %s",
			  queue_of(p)->name, (int)run_pid(w->run), strerror(w->error));
	log_end(p, w, result, how);
	/* What ends with a message that it has looked at ends by that message, as far as anybody knows: good ones must not wait. */
	if (w->n_answers == 0 && !wanted && !worker_has_looked(w))
		count_failure(p, alone || !w->problem ? how : w->problem);
	worker_report(w, result);
	worker_free(w);
	p->callbacks->changed(p->userdata);
}

static const struct worker_callbacks worker_callbacks = {.answered = on_answered, .line = on_line, .ended = on_ended};

/* --- giving messages --------------------------------------------------------------------------------------------------- */

bool pool_is_ready(const struct pool *p) {
	if (!has_workers(p))
		return true;
	if (p->closing)
		return false;
	return !list_is_empty(&p->idle) || (p->n < queue_of(p)->concurrency && !p->waiting);
}

static int start(struct pool *p, struct spawn_error *error, struct worker **ret) {
	int r;

	if (p->closing || p->waiting || p->n >= queue_of(p)->concurrency)
		return POOL_NOT_NOW;
	r = worker_new(p->program, &worker_callbacks, p, error, ret);
	if (r < 0)
		return r;
	list_append(&p->workers, &(*ret)->node);
	list_append(&p->idle, &(*ret)->idle_node);
	p->n++;
	log_debug("queue=%s worker started, pid=%d", queue_of(p)->name, (int)run_pid((*ret)->run));
	return 0;
}

/* Looking costs some system calls, so it is not done before each message of those that come fast. */
static bool is_outdated(struct pool *p, const struct worker *w) {
	uint64_t now = clock_now_usec();

	if (w->generation == program_generation(p->program) && now < p->looked_usec + LOOK_INTERVAL_USEC)
		return false;
	p->looked_usec = now;
	return program_is_outdated(p->program, w->generation);
}

/* The idle worker that is to be next; NULL: there is none. */
static struct worker *next_idle(struct pool *p) {
	struct worker *w;

	while ((w = LIST_FIRST(&p->idle, struct worker, idle_node)) && is_outdated(p, w))
		worker_retire(w);
	return w;
}

int pool_give(struct pool *p, const struct message *m, unsigned attempt, const struct run_callbacks *callbacks, void *userdata,
	      struct spawn_error *error, struct worker **ret) {
	bool started = false;
	struct worker *w;
	int r;

	do {
		w = next_idle(p);
		/* One that is gone at once is enough to know. */
		if (!w && started)
			return POOL_NOT_NOW;
		if (!w) {
			started = true;
			r = start(p, error, &w);
			if (r != 0)
				return r;
		}
		r = worker_give(w, m, attempt, callbacks, userdata);
		/* It had gone already: another one. */
	} while (r == -EPIPE);
	if (r < 0)
		return spawn_error_set(error, SPAWN_PREPARE, -r, NULL);
	*ret = w;
	return 0;
}

void pool_abandon(struct pool *p, struct worker *w) {
	p->n--;
	worker_free(w);
}

/* --- life -------------------------------------------------------------------------------------------------------------- */

void pool_close(struct pool *p) {
	p->closing = true;
	if (p->timer)
		sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
	set_trouble(p, NULL);
	LIST_FOREACH(w, &p->idle, struct worker, idle_node)
		worker_retire(w);
}

void pool_stop(struct pool *p, bool now) {
	LIST_FOREACH(w, &p->workers, struct worker, node) {
		if (w->message_callbacks)
			continue;
		if (now)
			run_kill(w->run);
		else
			run_stop(w->run);
	}
}

bool pool_is_empty(const struct pool *p) {
	return p->n == 0;
}

unsigned pool_leaving(const struct pool *p) {
	unsigned n = 0;

	LIST_FOREACH(w, &p->workers, struct worker, node)
		n += w->state == WORKER_LEAVING && !w->message_callbacks;
	return n;
}

const char *pool_trouble(const struct pool *p) {
	return p->trouble;
}

const struct program *pool_program(const struct pool *p) {
	return p->program;
}

int pool_new(sd_event *event, struct program *program, const struct pool_callbacks *callbacks, void *userdata,
	     struct pool **ret) {
	CLEANUP(pool_free) struct pool *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->program = program;
	p->callbacks = callbacks;
	p->userdata = userdata;
	list_init(&p->workers);
	list_init(&p->idle);
	backoff_init(&p->backoff, POOL_DELAY_MIN_USEC, POOL_DELAY_MAX_USEC);
	if (has_workers(p)) {
		r = sd_event_add_time(event, &p->timer, CLOCK_MONOTONIC, USEC_INFINITY, TIMER_ACCURACY_USEC, on_timer, p);
		if (r >= 0)
			r = sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
		if (r < 0)
			return r;
	}
	*ret = TAKE(p);
	return 0;
}

struct pool *pool_free(struct pool *p) {
	if (!p)
		return NULL;
	LIST_FOREACH(w, &p->workers, struct worker, node)
		worker_free(w);
	sd_event_source_disable_unref(p->timer);
	free(p->trouble);
	free(p);
	return NULL;
}
