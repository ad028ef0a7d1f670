/* SPDX-License-Identifier: MIT */
/* A template: any text, expanded for a message whose values are that text, too. */
#include "fuzz.h"

#include <errno.h>
#include <string.h>

#include "base/strbuf.h"
#include "message/template.h"

#define MOST 1000

static void set(struct text *t, const uint8_t *data, size_t size) {
	EXPECT(text_set(t, data, size) == 0);
}

static struct message *make_message(const uint8_t *data, size_t size) {
	struct message *m;

	EXPECT(message_new(&m) == 0);
	set(&m->exchange, data, size);
	set(&m->routing_key, data, size);
	set(&m->properties.message_id, data, size / 2);
	m->properties.has_headers = true;
	EXPECT(table_set_string(&m->properties.headers, "a", data, size) == 0);
	return m;
}

/* Any text can be written as a template, with its percent signs doubled. */
static void quoted(const char *text, const struct template_input *in) {
	CLEANUP(strbuf_free) struct strbuf quoted = STRBUF_INIT, b = STRBUF_INIT;
	CLEANUP(template_clear) struct template t = {0};

	for (const char *s = text; *s; s++) {
		strbuf_append_char(&quoted, *s);
		if (*s == '%')
			strbuf_append_char(&quoted, '%');
	}
	EXPECT(template_parse(strbuf_str(&quoted), &t, NULL) == 0 && template_is_constant(&t));
	EXPECT(template_expand(&t, in, strlen(text), &b) == 0 && strcmp(strbuf_str(&b), text) == 0);
}

/* What is expanded is added to what was there. As many bytes as it has are enough, one less is not: then nothing is added. */
static void expanded(const struct template *t, const struct template_input *in) {
	CLEANUP(strbuf_free) struct strbuf whole = STRBUF_INIT, b = STRBUF_INIT;
	int r = template_expand(t, in, MOST, &whole);

	EXPECT(r == 0 || r == -EILSEQ || r == -E2BIG);
	EXPECT(whole.len <= (r == 0 ? MOST : 0) && strlen(strbuf_str(&whole)) == whole.len);
	if (r < 0)
		return;
	strbuf_append_str(&b, "before ");
	EXPECT(whole.len == 0 || template_expand(t, in, whole.len - 1, &b) == -E2BIG);
	EXPECT(strcmp(strbuf_str(&b), "before ") == 0);
	EXPECT(template_expand(t, in, whole.len, &b) == 0);
	EXPECT(strcmp(strbuf_str(&b) + strlen("before "), strbuf_str(&whole)) == 0);
}

/* The text is cut at a NUL, as the configuration's would be; the values are not. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	CLEANUP(message_free) struct message *m = make_message(data, size);
	const struct template_input in = {.queue = "queue", .message = m};
	CLEANUP(template_clear) struct template t = {0};
	struct template_error error;
	char *text = strndup((const char *)data, size);
	int r;

	EXPECT(text);
	quoted(text, &in);
	r = template_parse(text, &t, &error);
	if (r < 0) {
		EXPECT(r == -EINVAL && error.offset < strlen(text) && text[error.offset] == '%');
		EXPECT(strlen(error.text) > 0);
	} else {
		EXPECT(strchr(text, '%') || template_is_constant(&t));
		expanded(&t, &in);
	}
	free(text);
	return 0;
}
