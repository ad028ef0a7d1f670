/* SPDX-License-Identifier: MIT */
/* Texts with values of a message in them: "%{routing_key}", "%{header:NAME}", and "%%" for a percent sign. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "base/strbuf.h"
#include "message/message.h"

/* A piece of a template: text as it stands, or the value of a name. */
struct template_part {
	int name;	  /* an index of template_names, or one of template.c's own */
	struct text text; /* the text as it stands, or the header's name; owned */
};

/* A parsed template. All zero: the empty one. */
struct template {
	struct template_part *parts; /* owned, n of them; no two texts in a row */
	size_t n;
};

/* What is wrong with a text that is no template. */
struct template_error {
	size_t offset;	/* of the percent sign in question */
	char text[128]; /* one line that says it; for an unknown name without the closest one */
	char name[64];	/* the unknown name, cut if need be; "" if the error is another */
};

/* The names of values, NULL-terminated; header:NAME is not among them. */
extern const char *const template_names[];

/* What a template is expanded for. All borrowed. */
struct template_input {
	const char *queue;
	const struct message *message;
	unsigned attempt; /* 0: unknown */
};

/* Parses a text. -EINVAL with `error` (overwritten) for an unknown or empty name, "%{" without "}" and "%" before anything
 * else; -ENOMEM. `error` may be NULL. */
int template_parse(const char *text, struct template *ret, struct template_error *error);

/* Frees what it holds and leaves the empty template. */
void template_clear(struct template *t);

static inline void template_clear_cleanup(struct template *t) {
	template_clear(t);
}

/* True if it holds no value of a message: it expands to the same text each time. */
bool template_is_constant(const struct template *t);

/* Appends the text with the values in it to b. What is absent from the message is empty; a header's value is as in its
 * environment variable (field_format). Values are not looked at for names in them. -EILSEQ: a value holds a NUL byte; -E2BIG: the
 * result would be longer than `max` bytes; b is as before then. -ENOMEM. */
int template_expand(const struct template *t, const struct template_input *in, size_t max, struct strbuf *b);
