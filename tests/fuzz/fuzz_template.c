/* SPDX-License-Identifier: MIT */
/* A template: any text, expanded for a message whose values are that text, too. */
#include "fuzz.h"

#include <errno.h>
#include <string.h>

#include "message/template.h"

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

/* The text is cut at a NUL, as the configuration's would be; the values are not. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	CLEANUP(message_free) struct message *m = make_message(data, size);
	const struct template_input in = {.queue = "queue", .message = m};
	CLEANUP(template_clear) struct template t = {0};
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	struct template_error error;
	char *text = strndup((const char *)data, size);
	int r;

	EXPECT(text);
	r = template_parse(text, &t, &error);
	if (r < 0) {
		EXPECT(r == -EINVAL && error.offset < strlen(text) && text[error.offset] == '%');
		EXPECT(strlen(error.text) > 0);
	} else {
		EXPECT(strchr(text, '%') || template_is_constant(&t));
		r = template_expand(&t, &in, 1000, &b);
		EXPECT(r == 0 || r == -EILSEQ || r == -E2BIG);
		EXPECT(b.len <= (r == 0 ? 1000 : 0));
		EXPECT(r != 0 || strlen(strbuf_str(&b)) == b.len);
		EXPECT(strchr(text, '%') || r != 0 || strcmp(strbuf_str(&b), text) == 0);
	}
	free(text);
	return 0;
}
