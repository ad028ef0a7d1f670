/* SPDX-License-Identifier: MIT */
#include "service/json_text.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/strbuf.h"

json_t *json_text_new(const char *s) {
	CLEANUP(strbuf_free) struct strbuf escaped = STRBUF_INIT;
	json_t *value;

	if (!s)
		return json_null();
	value = json_string(s);
	if (value)
		return value;
	strbuf_append_escaped(&escaped, s, strlen(s));
	return escaped.failed ? NULL : json_string(strbuf_str(&escaped));
}

json_t *json_text_time(uint64_t usec) {
	time_t seconds = (time_t)(usec / USEC_PER_SEC);
	char text[32];
	struct tm tm;

	if (usec == 0 || !gmtime_r(&seconds, &tm))
		return json_null();
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

static int append_piece(const char *data, size_t len, void *userdata) {
	strbuf_append(userdata, data, len);
	return 0;
}

void json_text_append(struct strbuf *b, json_t *value) {
	if (!value || json_dump_callback(value, append_piece, b, JSON_COMPACT | JSON_REAL_PRECISION(12)) < 0)
		b->failed = true;
	json_decref(value);
	strbuf_append_char(b, '\n');
}

void json_text_append_error(struct strbuf *b, const char *text) {
	json_text_append(b, json_pack("{s:o}", "error", json_text_new(text)));
}
