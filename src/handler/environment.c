/* SPDX-License-Identifier: MIT */
#include "handler/environment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/siphash.h"
#include "message/trace.h"

#define HEADER_PREFIX "AMQP_HEADER_"
/* The list of what was left out is for a log line, and made from what a message says: bounded. */
#define OMITTED_MAX 768
/* A buffer that a large message has blown up beyond this is not kept for the next one. */
#define KEEP_MAX 65536

void environment_clear(struct environment *env) {
	strbuf_free(&env->text);
	strbuf_free(&env->omitted);
	free(env->vector);
	free(env->offsets);
	free(env->slots);
	*env = ENVIRONMENT_INIT;
}

static void environment_reset(struct environment *env) {
	if (env->text.capacity > KEEP_MAX || env->n_allocated > 1024)
		environment_clear(env);
	strbuf_reset(&env->text);
	strbuf_reset(&env->omitted);
	env->n = env->n_omitted = env->n_fixed = env->n_headers = env->message_size = 0;
	if (env->slots)
		memset(env->slots, 0, env->n_slots * sizeof(*env->slots));
	/* The sender chooses names. Early at boot there may be no randomness yet: then the next message tries again. */
	if (!env->has_key)
		env->has_key = getrandom(env->key, sizeof(env->key), GRND_NONBLOCK) == sizeof(env->key);
}

/* The name ends before '='. */
static uint64_t hash_name(const struct environment *env, const char *s) {
	return siphash(env->key, s, strcspn(s, "="));
}

/* Compares "NAME=..." with "NAME=..." up to the '='. */
static bool same_name(const char *a, const char *b) {
	while (*a == *b && *a != '=')
		a++, b++;
	return *a == *b;
}

/* The slot of the variable with that name, or the free one where it belongs. There is always a free one. */
static uint32_t *find_slot(struct environment *env, const char *string) {
	size_t i = hash_name(env, string) & (env->n_slots - 1);

	while (env->slots[i] && !same_name(env->text.data + env->offsets[env->slots[i] - 1], string))
		i = (i + 1) & (env->n_slots - 1);
	return env->slots + i;
}

static int grow(struct environment *env) {
	size_t n = env->n_allocated ? env->n_allocated * 2 : 64;
	const char **vector = realloc(env->vector, (n + 1) * sizeof(*vector));
	size_t *offsets;
	uint32_t *slots;

	if (!vector)
		return -ENOMEM;
	env->vector = vector;
	offsets = realloc(env->offsets, n * sizeof(*offsets));
	if (!offsets)
		return -ENOMEM;
	env->offsets = offsets;
	slots = calloc(n * 2, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(env->slots);
	env->slots = slots;
	env->n_slots = n * 2;
	env->n_allocated = n;
	for (size_t i = 0; i < env->n; i++)
		*find_slot(env, env->text.data + offsets[i]) = (uint32_t)i + 1;
	return 0;
}

/* Takes the string that was appended to text from `start` on back out. */
static void take_back(struct environment *env, size_t start) {
	env->text.len = start;
	if (env->text.data)
		env->text.data[start] = '\0';
}

/* Makes the string that was appended to text from `start` on ("NAME=value", its NUL not yet) a variable. One of the
 * same name is replaced. -ENOMEM. */
static int commit(struct environment *env, size_t start) {
	uint32_t *slot;
	int r;

	strbuf_append_char(&env->text, '\0');
	if (env->text.failed)
		return -ENOMEM;
	if (env->n == env->n_allocated) {
		r = grow(env);
		if (r < 0)
			return r;
	}
	slot = find_slot(env, env->text.data + start);
	if (!*slot)
		*slot = (uint32_t)++env->n;
	env->offsets[*slot - 1] = start;
	return 0;
}

/* Notes that the property or header (`what`) of that name, which may hold anything, is left out. */
static void omit(struct environment *env, const char *what, const void *name, size_t len, const char *why) {
	env->n_omitted++;
	if (env->omitted.len > OMITTED_MAX / 2)
		return; /* counted, and said at the end */
	if (env->omitted.len)
		strbuf_append_str(&env->omitted, "; ");
	strbuf_append_str(&env->omitted, what);
	strbuf_append_char(&env->omitted, ' ');
	strbuf_append_value(&env->omitted, name, len < 64 ? len : 64);
	strbuf_append_str(&env->omitted, len < 64 ? "" : "...");
	strbuf_append_str(&env->omitted, ": ");
	strbuf_append_str(&env->omitted, why);
}

static const char *too_long(const struct environment *env, size_t start) {
	return env->text.len - start + 1 > ENVIRONMENT_STRING_MAX ? "too long for the environment" : NULL;
}

/* A variable of our own making: valid, whatever its value. */
static int set(struct environment *env, const char *name, const char *value) {
	size_t start = env->text.len;

	strbuf_append_str(&env->text, name);
	strbuf_append_char(&env->text, '=');
	strbuf_append_str(&env->text, value);
	return commit(env, start);
}

static int set_number(struct environment *env, const char *name, uint64_t value) {
	size_t start = env->text.len;

	strbuf_printf(&env->text, "%s=%" PRIu64, name, value);
	return commit(env, start);
}

/* A text of the message under the name that AMQP gives it in `name`; nothing if it is absent. */
static int set_text(struct environment *env, const char *name, const struct text *value) {
	size_t start = env->text.len;
	const char *why = NULL;

	if (!value->data)
		return 0;
	if (value->len && memchr(value->data, '\0', value->len)) {
		why = "contains a NUL byte";
	} else {
		strbuf_append_str(&env->text, name);
		strbuf_append_char(&env->text, '=');
		strbuf_append(&env->text, value->data, value->len);
		why = too_long(env, start);
	}
	if (!why)
		return commit(env, start);
	take_back(env, start);
	omit(env, "property", name, strlen(name), why);
	return 0;
}

/* Whether the message belongs to a trace that its handler is told of. */
static bool is_traced(const struct config_queue *queue, const struct message *m) {
	return m && queue->handler.metadata != CONFIG_METADATA_NONE && trace_parent(m);
}

static bool is_trace_state(const char *setting) {
	return strncmp(setting, "TRACESTATE=", strlen("TRACESTATE=")) == 0;
}

static int add_base(struct environment *env, const char *home, const char *user, const struct config_handler *handler, bool traced) {
	int r = handler->path ? set(env, "PATH", handler->path) : 0;

	if (r == 0)
		r = set(env, "HOME", home);
	if (r == 0)
		r = set(env, "USER", user);
	if (r == 0)
		r = set(env, "LANG", "C.UTF-8");
	for (char *const *s = handler->environment; r == 0 && s && *s; s++) {
		size_t start = env->text.len;

		if (!strchr(*s, '='))
			continue; /* the configuration allows none; a name without a value is no variable */
		if (traced && is_trace_state(*s))
			continue; /* a state belongs to its parent, which the message's replaces */
		strbuf_append_str(&env->text, *s);
		r = commit(env, start);
	}
	return r;
}

/* So that what the handler does belongs to the trace that the message belongs to. */
static int add_trace(struct environment *env, const struct message *m) {
	const struct text *parent = trace_parent(m), *state = trace_state(m);
	int r = 0;

	if (parent)
		r = set_text(env, "TRACEPARENT", parent);
	if (r == 0 && state)
		r = set_text(env, "TRACESTATE", state);
	return r;
}

/* What the delivery says, in the order of the design. */
static int add_delivery(struct environment *env, const char *queue, const struct message *m, unsigned attempt) {
	int r = set(env, "AMQP_QUEUE", queue);

	if (r == 0)
		r = set_text(env, "AMQP_EXCHANGE", &m->exchange);
	if (r == 0)
		r = set_text(env, "AMQP_ROUTING_KEY", &m->routing_key);
	if (r == 0)
		r = set_number(env, "AMQP_DELIVERY_TAG", m->delivery_tag);
	if (r == 0)
		r = set(env, "AMQP_REDELIVERED", m->redelivered ? "true" : "false");
	if (r == 0 && attempt > 0)
		r = set_number(env, "AMQP_ATTEMPT", attempt);
	if (r == 0)
		r = set_number(env, "AMQP_BODY_SIZE", m->body_size);
	return r;
}

static int add_properties(struct environment *env, const struct properties *p) {
	const struct {
		const char *name;
		const struct text *value;
	} texts[] = {
		{"AMQP_CONTENT_TYPE", &p->content_type},
		{"AMQP_CONTENT_ENCODING", &p->content_encoding},
		{"AMQP_CORRELATION_ID", &p->correlation_id},
		{"AMQP_REPLY_TO", &p->reply_to},
		{"AMQP_EXPIRATION", &p->expiration},
		{"AMQP_MESSAGE_ID", &p->message_id},
		{"AMQP_TYPE", &p->type},
		{"AMQP_USER_ID", &p->user_id},
		{"AMQP_APP_ID", &p->app_id},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(texts); i++)
		r = set_text(env, texts[i].name, texts[i].value);
	if (r == 0 && p->has_delivery_mode)
		r = set_number(env, "AMQP_DELIVERY_MODE", p->delivery_mode);
	if (r == 0 && p->has_priority)
		r = set_number(env, "AMQP_PRIORITY", p->priority);
	if (r == 0 && p->has_timestamp)
		r = set_number(env, "AMQP_TIMESTAMP", p->timestamp);
	return r;
}

static void append_header_name(struct strbuf *b, const struct text *name) {
	strbuf_append_str(b, HEADER_PREFIX);
	for (size_t i = 0; i < name->len; i++) {
		char c = name->data[i];

		if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		else if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')))
			c = '_';
		strbuf_append_char(b, c);
	}
	strbuf_append_char(b, '=');
}

/* Why the header whose string begins at `start` of text, with the value at `value`, cannot be passed on; NULL if it
 * can. */
static const char *refuse_header(struct environment *env, size_t start, size_t value) {
	size_t len = env->text.len;
	const char *why = too_long(env, start);
	uint32_t slot;

	if (memchr(env->text.data + value, '\0', len - value))
		return "contains a NUL byte";
	if (why)
		return why;
	slot = *find_slot(env, env->text.data + start);
	if (slot > env->n_fixed)
		return "another header has the same variable";
	if (env->message_size + (len - start) + 1 + sizeof(char *) > env->message_max)
		return "the message's headers are too large together";
	return NULL;
}

static int add_header(struct environment *env, const struct field *header) {
	size_t start = env->text.len, value;
	const char *why;
	int r;

	if (header->name.len == 0) {
		omit(env, "header", "", 0, "it has no name");
		return 0;
	}
	if (env->n_headers == ENVIRONMENT_HEADERS_MAX) {
		omit(env, "header", header->name.data, header->name.len, "the message has too many headers");
		return 0;
	}
	append_header_name(&env->text, &header->name);
	value = env->text.len;
	r = field_format(header, &env->text);
	if (r < 0 || env->text.failed)
		return -ENOMEM;
	why = refuse_header(env, start, value);
	if (why) {
		take_back(env, start);
		omit(env, "header", header->name.data, header->name.len, why);
		return 0;
	}
	env->message_size += env->text.len - start + 1 + sizeof(char *);
	env->n_headers++;
	return commit(env, start);
}

static int add_headers(struct environment *env, const struct properties *p) {
	int r = 0;

	env->n_fixed = env->n;
	for (size_t i = 0; r == 0 && p->has_headers && i < p->headers.n; i++)
		r = add_header(env, p->headers.fields + i);
	return r;
}

static int environment_finish(struct environment *env) {
	if (env->omitted.len > OMITTED_MAX / 2)
		strbuf_printf(&env->omitted, "; %zu left out in all", env->n_omitted);
	if (env->omitted.failed || env->text.failed)
		return -ENOMEM;
	for (size_t i = 0; i < env->n; i++)
		env->vector[i] = env->text.data + env->offsets[i];
	env->vector[env->n] = NULL;
	return 0;
}

/* What handler.metadata says that the message has to say here. */
static int add_message(struct environment *env, const struct config_queue *queue, const struct message *m,
		       unsigned attempt) {
	bool all = queue->handler.metadata == CONFIG_METADATA_ENV || queue->handler.metadata == CONFIG_METADATA_BOTH;
	size_t before = env->text.len;
	int r = 0;

	if (queue->handler.metadata != CONFIG_METADATA_NONE)
		r = add_trace(env, m);
	if (r == 0 && all)
		r = add_delivery(env, queue->name, m, attempt);
	if (r == 0 && all)
		r = add_properties(env, &m->properties);
	env->message_size = env->text.len - before + 32 * sizeof(char *);
	if (r == 0 && all)
		r = add_headers(env, &m->properties);
	return r;
}

int environment_build(struct environment *env, const char *home, const char *user, const struct config_queue *queue,
		      const struct message *m, unsigned attempt, size_t message_max) {
	int r;

	environment_reset(env);
	env->message_max = message_max;
	r = add_base(env, home, user, &queue->handler, is_traced(queue, m));
	if (r == 0 && m)
		r = add_message(env, queue, m, attempt);
	return r < 0 ? r : environment_finish(env);
}
