/* SPDX-License-Identifier: MIT */
/* A line of JSON for amqp-execctl publish: it is a message that can be sent, or it is told why not, on one harmless
 * line. Headers that were read come back from JSON as they were. */
#include "fuzz.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "ctl/message_line.h"
#include "message/headers.h"

static void expect_harmless(const char *why) {
	EXPECT(why && *why);
	for (const char *p = why; *p; p++)
		EXPECT((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static void expect_short(const struct text *t) {
	EXPECT(t->len <= 255);
	EXPECT(t->data || t->len == 0);
}

static void expect_round_trip(const struct table *headers) {
	struct table again = {0};
	json_t *first = NULL, *second = NULL;
	const char *why = NULL;

	EXPECT(table_wire_size(headers) <= HEADERS_SIZE_MAX);
	EXPECT(headers_to_json(headers, &first) == 0);
	EXPECT(headers_from_json(first, &again, &why) == 0);
	EXPECT(headers_to_json(&again, &second) == 0);
	EXPECT(json_equal(first, second));
	json_decref(first);
	json_decref(second);
	table_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	CLEANUP(message_free) struct message *m = NULL;
	CLEANUP(free) char *why = NULL;
	/* A copy of exactly that size: a byte beyond it is seen by the sanitizer. */
	CLEANUP(free) char *line = malloc(size > 0 ? size : 1);
	int r;

	EXPECT(line);
	if (size > 0)
		memcpy(line, data, size);
	r = message_line_parse(line, size, &m, &why);
	EXPECT(r == 0 || r == -EINVAL);
	if (r < 0) {
		EXPECT(!m);
		expect_harmless(why);
		return 0;
	}
	expect_short(&m->exchange);
	expect_short(&m->routing_key);
	expect_short(&m->properties.message_id);
	expect_short(&m->properties.expiration);
	EXPECT(!m->exchange.data || strlen(m->exchange.data) == m->exchange.len);
	EXPECT(!m->routing_key.data || strlen(m->routing_key.data) == m->routing_key.len);
	EXPECT(m->body_state == BODY_COMPLETE && m->body_filled == m->body_size);
	EXPECT(m->properties.has_headers || m->properties.headers.n == 0);
	expect_round_trip(&m->properties.headers);
	return 0;
}
