/* SPDX-License-Identifier: MIT */
#include "message/gojson.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "base/utf8.h"

/* 9999-12-31T23:59:59Z */
#define LAST_SECOND 253402300799u

/* --- strings ----------------------------------------------------------------------------------------------------- */

/* Bytes that stand for themselves. */
static bool is_plain(unsigned char c) {
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

/* The line and paragraph separators U+2028 and U+2029, which end a line in old JavaScript. */
static bool is_separator(const unsigned char *p, size_t n) {
	return n == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9);
}

/* Of a byte below 0x80. */
static size_t escaped_size(unsigned char c) {
	if (is_plain(c))
		return 1;
	return c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t' ? 2 : strlen("\\u0000");
}

static void append_special(struct strbuf *b, unsigned char c) {
	if (c == '"' || c == '\\')
		strbuf_printf(b, "\\%c", c);
	else if (c == '\n')
		strbuf_append_str(b, "\\n");
	else if (c == '\r')
		strbuf_append_str(b, "\\r");
	else if (c == '\t')
		strbuf_append_str(b, "\\t");
	else
		strbuf_printf(b, "\\u%04x", c);
}

/* The character at p, which is not plain. Returns its length. */
static size_t append_character(struct strbuf *b, const unsigned char *p, size_t len) {
	size_t n = utf8_sequence(p, len);

	if (n == 0) {
		strbuf_append_str(b, "\\ufffd");
		return 1;
	}
	if (n == 1)
		append_special(b, *p);
	else if (is_separator(p, n))
		strbuf_append_str(b, p[2] == 0xa8 ? "\\u2028" : "\\u2029");
	else
		strbuf_append(b, p, n);
	return n;
}

void gojson_append_characters(struct strbuf *b, const void *data, size_t len) {
	const unsigned char *p = data;
	size_t i = 0;

	while (i < len) {
		size_t start = i;

		while (i < len && is_plain(p[i]))
			i++;
		strbuf_append(b, p + start, i - start);
		if (i < len)
			i += append_character(b, p + i, len - i);
	}
}

void gojson_append_string(struct strbuf *b, const void *data, size_t len) {
	strbuf_append_char(b, '"');
	gojson_append_characters(b, data, len);
	strbuf_append_char(b, '"');
}

size_t gojson_size(const void *data, size_t len) {
	const unsigned char *p = data;
	size_t size = 0, i = 0;

	while (i < len) {
		size_t n = is_plain(p[i]) ? 1 : utf8_sequence(p + i, len - i);

		if (n == 0)
			return SIZE_MAX;
		if (n == 1)
			size += escaped_size(p[i]);
		else
			size += is_separator(p + i, n) ? strlen("\\u2028") : n;
		i += n;
	}
	return size;
}

size_t gojson_piece(const void *data, size_t len, size_t max) {
	const unsigned char *p = data;

	if (len <= max)
		return len;
	/* The sequence that the cut would go through begins at most three bytes before it. */
	for (size_t back = 1; back <= 3; back++)
		if (utf8_sequence(p + max - back, len - max + back) > back)
			return max - back;
	return max;
}

/* --- numbers and times ------------------------------------------------------------------------------------------- */

/* The shortest decimal that reads back as the same number: its digits without a point, and the exponent of the first. */
static int shortest_digits(double value, bool single, char digits[32]) {
	char text[40];
	char *end;
	size_t n = 0;

	for (int precision = 0; precision <= (single ? 8 : 16); precision++) {
		(void)snprintf(text, sizeof(text), "%.*e", precision, value);
		if (single ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value)
			break;
	}
	end = strchr(text, 'e');
	for (const char *p = text; p < end; p++)
		if (*p != '.')
			digits[n++] = *p;
	digits[n] = '\0';
	return (int)strtol(end + 1, NULL, 10);
}

/* Exponents are used where Go and JavaScript use them. */
static void append_float(struct strbuf *b, double value, bool single) {
	double size = fabs(value);
	bool small = single ? (float)size < 1e-6f : size < 1e-6;
	bool large = single ? (float)size >= 1e21f : size >= 1e21;
	char digits[32];
	int exponent, n;

	if (!isfinite(value)) {
		strbuf_append_str(b, "null");
		return;
	}
	if (signbit(value))
		strbuf_append_char(b, '-');
	exponent = shortest_digits(size, single, digits);
	n = (int)strlen(digits);
	if (size != 0 && (small || large)) {
		strbuf_printf(b, "%c%s%se%+d", digits[0], n > 1 ? "." : "", digits + 1, exponent);
	} else if (exponent < 0) {
		strbuf_printf(b, "0.%.*s%s", -exponent - 1, "000000", digits);
	} else if (n <= exponent + 1) {
		strbuf_append_str(b, digits);
		for (int i = n; i <= exponent; i++)
			strbuf_append_char(b, '0');
	} else {
		strbuf_printf(b, "%.*s.%s", exponent + 1, digits, digits + exponent + 1);
	}
}

void gojson_append_time(struct strbuf *b, uint64_t seconds, const char *otherwise) {
	time_t t = (time_t)seconds;
	struct tm tm;

	if (seconds > LAST_SECOND || !gmtime_r(&t, &tm)) {
		strbuf_append_str(b, otherwise);
		return;
	}
	strbuf_printf(b, "\"%04d-%02d-%02dT%02d:%02d:%02dZ\"", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
		      tm.tm_min, tm.tm_sec);
}

/* --- tables ------------------------------------------------------------------------------------------------------ */

static int append_value(struct strbuf *b, const struct field *f, unsigned depth);

/* By name, bytes as Go compares them; of one name in the order of the table. */
static int compare_fields(const void *a, const void *b) {
	const struct field *x = *(const struct field *const *)a, *y = *(const struct field *const *)b;
	size_t n = x->name.len < y->name.len ? x->name.len : y->name.len;
	int r = n > 0 ? memcmp(x->name.data, y->name.data, n) : 0;

	if (r == 0 && x->name.len != y->name.len)
		r = x->name.len < y->name.len ? -1 : 1;
	if (r == 0)
		r = x < y ? -1 : x > y;
	return r;
}

static bool same_name(const struct field *x, const struct field *y) {
	return x->name.len == y->name.len && (x->name.len == 0 || memcmp(x->name.data, y->name.data, x->name.len) == 0);
}

static int append_object(struct strbuf *b, const struct table *t, unsigned depth) {
	const struct field **sorted;
	const char *comma = "";
	int r = 0;

	if (t->n == 0) {
		strbuf_append_str(b, "{}");
		return 0;
	}
	sorted = calloc(t->n, sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < t->n; i++)
		sorted[i] = t->fields + i;
	qsort(sorted, t->n, sizeof(*sorted), compare_fields);
	strbuf_append_char(b, '{');
	for (size_t i = 0; r == 0 && i < t->n; i++) {
		if (i + 1 < t->n && same_name(sorted[i], sorted[i + 1]))
			continue;
		strbuf_append_str(b, comma);
		comma = ",";
		gojson_append_string(b, sorted[i]->name.data, sorted[i]->name.len);
		strbuf_append_char(b, ':');
		r = append_value(b, sorted[i], depth);
	}
	strbuf_append_char(b, '}');
	free(sorted);
	return r;
}

static int append_array(struct strbuf *b, const struct table *t, unsigned depth) {
	int r = 0;

	strbuf_append_char(b, '[');
	for (size_t i = 0; r == 0 && i < t->n; i++) {
		if (i > 0)
			strbuf_append_char(b, ',');
		r = append_value(b, t->fields + i, depth);
	}
	strbuf_append_char(b, ']');
	return r;
}

static int append_nested(struct strbuf *b, const struct field *f, unsigned depth) {
	if (depth >= FIELD_DEPTH_MAX) {
		strbuf_append_str(b, "null");
		return 0;
	}
	return f->kind == FIELD_ARRAY ? append_array(b, &f->table, depth + 1) : append_object(b, &f->table, depth + 1);
}

static void append_scalar(struct strbuf *b, const struct field *f) {
	switch (f->kind) {
	case FIELD_I8:
	case FIELD_I16:
	case FIELD_I32:
	case FIELD_I64:
		strbuf_printf(b, "%" PRId64, f->i);
		break;
	case FIELD_U8:
	case FIELD_U16:
	case FIELD_U32:
	case FIELD_U64:
		strbuf_printf(b, "%" PRIu64, f->u);
		break;
	case FIELD_F32:
	case FIELD_F64:
		append_float(b, f->f, f->kind == FIELD_F32);
		break;
	case FIELD_DECIMAL:
		strbuf_printf(b, "{\"Scale\":%u,\"Value\":%" PRIu32 "}", f->decimal.scale, f->decimal.value);
		break;
	case FIELD_STRING:
		gojson_append_string(b, f->text.data, f->text.len);
		break;
	case FIELD_BYTES:
		strbuf_append_char(b, '"');
		base64_append(b, f->text.data, f->text.len);
		strbuf_append_char(b, '"');
		break;
	case FIELD_TIMESTAMP:
		gojson_append_time(b, f->u, "null");
		break;
	case FIELD_BOOLEAN:
		strbuf_append_str(b, f->boolean ? "true" : "false");
		break;
	default:
		strbuf_append_str(b, "null");
	}
}

static int append_value(struct strbuf *b, const struct field *f, unsigned depth) {
	if (f->kind == FIELD_TABLE || f->kind == FIELD_ARRAY)
		return append_nested(b, f, depth);
	append_scalar(b, f);
	return 0;
}

int gojson_append_field(struct strbuf *b, const struct field *f) {
	int r = append_value(b, f, 0);

	return r == 0 && b->failed ? -ENOMEM : r;
}

int gojson_append_table(struct strbuf *b, const struct table *t) {
	int r = append_object(b, t, 0);

	return r == 0 && b->failed ? -ENOMEM : r;
}
