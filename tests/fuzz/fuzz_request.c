/* SPDX-License-Identifier: MIT */
/* What a client of the control socket asks for: any text is a path and a query, within limits, or refused; and what was
 * taken apart comes apart in the same way when it is encoded and put together again. */
#include "fuzz.h"

#include <errno.h>
#include <string.h>

#include "base/strbuf.h"
#include "service/http_target.h"

/* Every byte, so that nothing in it can be taken for a separator. */
static void append_encoded(struct strbuf *b, const char *s) {
	for (; *s; s++)
		strbuf_printf(b, "%%%02x", (unsigned char)*s);
}

static void append_target(struct strbuf *b, const struct http_target *t) {
	for (size_t i = 0; i < t->n_segments; i++) {
		strbuf_append_char(b, '/');
		append_encoded(b, t->segments[i]);
	}
	for (size_t i = 0; i < t->n_parameters; i++) {
		strbuf_append_char(b, i > 0 ? '&' : '?');
		append_encoded(b, t->parameters[i].name);
		strbuf_append_char(b, '=');
		append_encoded(b, t->parameters[i].value);
	}
}

static void expect_same(const struct http_target *a, const struct http_target *b) {
	EXPECT(a->n_segments == b->n_segments && a->n_parameters == b->n_parameters);
	for (size_t i = 0; i < a->n_segments; i++)
		EXPECT(strcmp(a->segments[i], b->segments[i]) == 0);
	for (size_t i = 0; i < a->n_parameters; i++)
		EXPECT(strcmp(a->parameters[i].name, b->parameters[i].name) == 0 &&
		       strcmp(a->parameters[i].value, b->parameters[i].value) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	CLEANUP(http_target_clear) struct http_target t = HTTP_TARGET_INIT, again = HTTP_TARGET_INIT;
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	char *text = malloc(size + 1);
	int r;

	EXPECT(text);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	r = http_target_parse(text, &t);
	free(text);
	if (r < 0) {
		EXPECT(r == -EINVAL || r == -E2BIG);
		EXPECT(t.n_segments == 0 && t.n_parameters == 0);
		return 0;
	}
	EXPECT(t.n_segments >= 1 && t.n_segments <= HTTP_SEGMENTS_MAX && t.n_parameters <= HTTP_PARAMETERS_MAX);
	append_target(&b, &t);
	EXPECT(!b.failed && http_target_parse(strbuf_str(&b), &again) == 0);
	expect_same(&t, &again);
	return 0;
}
