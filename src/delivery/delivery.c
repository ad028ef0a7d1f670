/* SPDX-License-Identifier: MIT */
#include "delivery/delivery.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/strbuf.h"
#include "delivery/queue.h"

static const char *const delivery_state_names[] = {
	[DELIVERY_WAITING] = "waiting",	      [DELIVERY_RUNNING] = "running", [DELIVERY_ATTACHED] = "attached",
	[DELIVERY_PUBLISHING] = "publishing", [DELIVERY_HELD] = "held",	      [DELIVERY_DONE] = "done",
};

int delivery_new(struct queue *queue, struct message *message, struct delivery **ret) {
	struct delivery *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	list_init(&d->node);
	list_init(&d->arrival);
	d->queue = queue;
	d->message = message;
	d->epoch = message->epoch;
	d->received_usec = message->received_usec;
	d->attempt = message_attempt(message, queue_config(queue)->name);
	*ret = d;
	return 0;
}

static void part(struct delivery *d) {
	if (d->heir)
		d->heir->elder = NULL;
	if (d->elder)
		d->elder->heir = NULL;
	d->heir = d->elder = NULL;
}

void delivery_clear_errands(struct delivery *d) {
	for (unsigned i = 0; i < d->n_errands; i++) {
		free(d->errands[i].target);
		free(d->errands[i].reason);
	}
	d->n_errands = 0;
}

struct delivery *delivery_free(struct delivery *d) {
	if (d) {
		part(d);
		list_remove(&d->node);
		list_remove(&d->arrival);
		d->task = task_free(d->task);
		message_free(d->message);
		tail_clear(&d->tail);
		free(d->said);
		free(d->note);
		message_free(d->output);
		delivery_clear_errands(d);
		free(d);
	}
	return NULL;
}

void delivery_attach(struct delivery *heir, struct delivery *elder) {
	assert(elder->lost && !elder->heir && !heir->elder);
	elder->heir = heir;
	heir->elder = elder;
}

void delivery_note(struct delivery *d, const char *format, ...) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	va_list args;

	if (d->note) {
		strbuf_append_str(&b, d->note);
		strbuf_append_str(&b, "; ");
	}
	va_start(args, format);
	strbuf_vprintf(&b, format, args);
	va_end(args);
	if (b.failed)
		return;
	free(d->note);
	d->note = b.data;
	b = STRBUF_INIT;
}

void delivery_set_result(struct delivery *d, const struct run_result *result) {
	struct worker_answer *answer = &d->result.answer;

	d->result = *result;
	free(d->said);
	d->said = NULL;
	if (!answer->reason)
		return;
	/* Without memory it is not said why. */
	d->said = malloc(answer->reason_len);
	if (d->said)
		memcpy(d->said, answer->reason, answer->reason_len);
	answer->reason = d->said;
	answer->reason_len = d->said ? answer->reason_len : 0;
}

const struct run_result *delivery_result(const struct delivery *d) {
	return d->refused ? NULL : &d->result;
}

struct delivery *delivery_inherit(struct delivery *elder) {
	struct delivery *heir = elder->heir;

	part(elder);
	heir->result = elder->result;
	heir->refused = elder->refused;
	heir->outcome = elder->outcome;
	heir->answered = elder->answered;
	heir->output = TAKE(elder->output);
	free(heir->note);
	heir->note = TAKE(elder->note);
	free(heir->said);
	heir->said = TAKE(elder->said);
	tail_clear(&heir->tail);
	heir->tail = elder->tail;
	elder->tail = (struct tail){0};
	return heir;
}

static bool step_is_legal(enum delivery_state from, enum delivery_state to) {
	switch (from) {
	case DELIVERY_WAITING: /* HELD, PUBLISHING: no handler can get it */
		return true;
	case DELIVERY_RUNNING: /* WAITING: its worker had gone before it looked at it */
		return to != DELIVERY_ATTACHED && to != DELIVERY_RUNNING;
	case DELIVERY_ATTACHED: /* WAITING: likewise, of its elder */
		return to == DELIVERY_WAITING || to == DELIVERY_PUBLISHING || to == DELIVERY_HELD || to == DELIVERY_DONE;
	case DELIVERY_PUBLISHING: /* PUBLISHING: after the reply, a copy */
		return to == DELIVERY_PUBLISHING || to == DELIVERY_HELD || to == DELIVERY_DONE;
	case DELIVERY_HELD:
		return to == DELIVERY_DONE;
	case DELIVERY_DONE:
		return false;
	}
	return false;
}

void delivery_set_state(struct delivery *d, enum delivery_state state, struct list *list) {
	assert(step_is_legal(d->state, state));
	d->state = state;
	list_remove(&d->node);
	if (list)
		list_append(list, &d->node);
}

const char *delivery_state_to_string(enum delivery_state s) {
	return delivery_state_names[s];
}
