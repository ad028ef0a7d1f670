/* SPDX-License-Identifier: MIT */
/* What a daemon answers to amqp-execctl: whatever JSON it is, what is printed does nothing to a terminal. */
#include "fuzz.h"

#include <string.h>

#include "base/strbuf.h"
#include "ctl/show.h"

/* Lines of printable text, at most. */
static void expect_harmless(const struct strbuf *b) {
	const char *text = strbuf_str(b);

	EXPECT(!b->failed);
	for (size_t i = 0; i < b->len; i++)
		EXPECT(text[i] == '\n' || ((unsigned char)text[i] >= 0x20 && text[i] != 0x7f));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	/* The width by the input, so that tables are cut, too. */
	const struct show_options options = {
		.now = 1769860800, .width = size % 4 == 0 ? 0 : 20 + size % 100, .lines = size % 3 * 8};
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	json_t *value = json_loadb((const char *)data, size, JSON_ALLOW_NUL, NULL);

	if (!value)
		return 0;
	show_status(value, &options, &b);
	show_handlers(value, &options, &b);
	show_killed(value, &b);
	show_queues(value, &b);
	show_reload(value, &b);
	show_problems(json_object_get(value, "problems"), false, &b);
	expect_harmless(&b);
	json_decref(value);
	return 0;
}
