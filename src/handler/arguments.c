/* SPDX-License-Identifier: MIT */
#include "handler/arguments.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handler/payload.h"

/* A buffer that a large message has blown up beyond this is not kept for the next one. */
#define KEEP_MAX 65536

/* --- the command ------------------------------------------------------------------------------------------------- */

static inline void command_clear_cleanup(struct command *c) {
	command_clear(c);
}

void command_clear(struct command *c) {
	for (size_t i = 0; c->templates && i < c->n; i++)
		template_clear(&c->templates[i]);
	free(c->templates);
	free(c->fixed);
	*c = (struct command){0};
}

int command_parse(char *const *argv, struct command *ret) {
	CLEANUP(command_clear) struct command c = {.constant = true};
	int r;

	while (argv && argv[c.n])
		c.n++;
	c.templates = calloc(c.n + 1, sizeof(*c.templates));
	c.fixed = calloc(c.n + 1, sizeof(*c.fixed));
	if (!c.templates || !c.fixed)
		return -ENOMEM;
	for (size_t i = 0; i < c.n; i++) {
		struct template *t = c.templates + i;

		c.fixed[i] = argv[i];
		if (i == 0)
			continue; /* nothing in a message can choose what is executed */
		r = template_parse(argv[i], t, NULL);
		if (r < 0)
			return r;
		c.constant = c.constant && template_is_constant(t);
		c.fixed[i] = template_is_constant(t) && t->n > 0 ? t->parts[0].text.data : "";
	}
	*ret = c;
	c = (struct command){0};
	return 0;
}

/* --- a run's ----------------------------------------------------------------------------------------------------- */

void arguments_clear(struct argument_list *a) {
	free(a->own);
	free(a->offsets);
	strbuf_free(&a->text);
	*a = ARGUMENT_LIST_INIT;
}

/* Room for n pointers. */
static int prepare(struct argument_list *a, size_t n) {
	const char **own;
	size_t *offsets;

	if (a->text.capacity > KEEP_MAX)
		strbuf_free(&a->text);
	strbuf_reset(&a->text);
	if (n <= a->n_allocated)
		return 0;
	own = reallocarray(a->own, n, sizeof(*own));
	if (!own)
		return -ENOMEM;
	a->own = own;
	offsets = reallocarray(a->offsets, n, sizeof(*offsets));
	if (!offsets)
		return -ENOMEM;
	a->offsets = offsets;
	a->n_allocated = n;
	return 0;
}

static int refuse(struct argument_list *a, size_t i, const char *why) {
	(void)snprintf(a->refusal, sizeof(a->refusal), "handler.command[%zu] would %s", i, why);
	return ARGUMENTS_REFUSED;
}

static int refuse_payload(struct argument_list *a, const struct config_handler *h, const struct message *m) {
	(void)snprintf(a->refusal, sizeof(a->refusal), "its body of %" PRIu64 " bytes does not fit an argument%s", m->body_size,
		       h->compress ? ", compressed or not" : "");
	return ARGUMENTS_REFUSED;
}

/* Ends the argument that was appended to text from a->offsets[i] on. */
static int end_argument(struct argument_list *a, size_t i, size_t max) {
	strbuf_append_char(&a->text, '\0');
	if (a->text.failed)
		return -ENOMEM;
	a->message_size += a->text.len - a->offsets[i] + sizeof(char *);
	if (a->message_size <= max)
		return 0;
	(void)snprintf(a->refusal, sizeof(a->refusal), "its arguments would be longer than %zu bytes together", max);
	return ARGUMENTS_REFUSED;
}

static int expand(struct argument_list *a, const struct template *t, size_t i, const struct template_input *in, size_t max) {
	int r;

	a->offsets[i] = a->text.len;
	r = template_expand(t, in, ARGUMENT_MAX, &a->text);
	if (r == -EILSEQ)
		return refuse(a, i, "hold a NUL byte");
	if (r == -E2BIG)
		return refuse(a, i, "be longer than 131071 bytes");
	return r < 0 ? r : end_argument(a, i, max);
}

static int add_payload(struct argument_list *a, size_t i, const struct config_handler *h, const struct message *m, size_t max) {
	int r;

	a->offsets[i] = a->text.len;
	r = payload_append(h, m, ARGUMENT_MAX, &a->text);
	if (r == -E2BIG)
		return refuse_payload(a, h, m);
	return r < 0 ? r : end_argument(a, i, max);
}

int arguments_refuse_size(struct argument_list *a) {
	(void)snprintf(a->refusal, sizeof(a->refusal), "its arguments take %zu bytes, more than this system allows",
		       a->message_size);
	return ARGUMENTS_REFUSED;
}

/* Only now do the texts stay where they are. */
static void finish(struct argument_list *a, const struct command *c, bool payload) {
	for (size_t i = 0; i < c->n; i++)
		a->own[i] = template_is_constant(c->templates + i) ? c->fixed[i] : a->text.data + a->offsets[i];
	if (payload)
		a->own[c->n] = a->text.data + a->offsets[c->n];
	a->own[c->n + payload] = NULL;
	a->vector = a->own;
}

int arguments_build(struct argument_list *a, const struct command *c, const struct config_queue *queue, const struct message *m,
		    unsigned attempt, size_t max) {
	const struct template_input in = {.queue = queue->name, .message = m, .attempt = attempt};
	const struct config_handler *h = &queue->handler;
	bool payload = h->input == CONFIG_INPUT_ARGUMENT || h->input == CONFIG_INPUT_ARGUMENT_JSON;
	int r;

	a->message_size = 0;
	if (c->constant && !payload) {
		a->vector = c->fixed;
		return 0;
	}
	r = prepare(a, c->n + 2);
	for (size_t i = 0; r == 0 && i < c->n; i++)
		if (!template_is_constant(c->templates + i))
			r = expand(a, c->templates + i, i, &in, max);
	if (r == 0 && payload)
		r = add_payload(a, c->n, h, m, max);
	if (r == 0)
		finish(a, c, payload);
	return r;
}
