/* SPDX-License-Identifier: MIT */
#include "message/headers.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/strbuf.h"

#define NAME_MAX_BYTES 255
#define DECIMAL_SCALE_MAX 255

enum special { BASE64, STRING_BASE64, TIMESTAMP, UNSIGNED, DECIMAL, FLOAT, TABLE, N_SPECIAL };

static const char *const special_names[N_SPECIAL] = {
	[BASE64] = "base64",       [STRING_BASE64] = "string_base64",
	[TIMESTAMP] = "timestamp", [UNSIGNED] = "unsigned",
	[DECIMAL] = "decimal",     [FLOAT] = "float",
	[TABLE] = "table",
};

/* N_SPECIAL: it is no such name. */
static enum special special_from_name(const char *name, size_t len) {
	enum special s = 0;

	while (s < N_SPECIAL && (strlen(special_names[s]) != len || memcmp(special_names[s], name, len) != 0))
		s++;
	return s;
}

/* --- to JSON ----------------------------------------------------------------------------------------------------- */

static json_t *json_from_table(const struct table *t, unsigned depth);

/* Takes over the value, which may be NULL. */
static json_t *wrap(enum special s, json_t *value) {
	json_t *object = value ? json_object() : NULL;

	if (object && json_object_set_new_nocheck(object, special_names[s], value) == 0)
		return object;
	if (object)
		json_decref(object);
	else
		json_decref(value);
	return NULL;
}

static json_t *json_from_base64(const struct text *t) {
	CLEANUP(strbuf_free) struct strbuf encoded = STRBUF_INIT;

	base64_append(&encoded, t->data, t->len);
	return encoded.failed ? NULL : json_stringn_nocheck(strbuf_str(&encoded), encoded.len);
}

/* jansson refuses what is not UTF-8, and has no other reason to but memory. */
static json_t *json_from_string(const struct text *t) {
	json_t *value = json_stringn(t->data ? t->data : "", t->len);

	return value ? value : wrap(STRING_BASE64, json_from_base64(t));
}

static json_t *json_from_formatted(enum special s, const struct field *f) {
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;

	if (field_format(f, &text) < 0)
		return NULL;
	return wrap(s, json_stringn_nocheck(strbuf_str(&text), text.len));
}

static json_t *json_from_float(const struct field *f) {
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;

	if (isnan(f->f))
		return wrap(FLOAT, json_string("nan"));
	if (!isfinite(f->f))
		return wrap(FLOAT, json_string(f->f < 0 ? "-inf" : "inf"));
	if (f->kind == FIELD_F64)
		return json_real(f->f);
	/* The double nearest to the shortest decimal of the 32-bit float: 0.1, not 0.10000000149. */
	if (field_format(f, &text) < 0)
		return NULL;
	return json_real(strtod(strbuf_str(&text), NULL));
}

static json_t *json_from_array(const struct table *t, unsigned depth);

/* A new reference; NULL: no memory. */
static json_t *json_from_field(const struct field *f, unsigned depth) {
	switch (f->kind) {
	case FIELD_BOOLEAN:
		return json_boolean(f->boolean);
	case FIELD_I8:
	case FIELD_I16:
	case FIELD_I32:
	case FIELD_I64:
		return json_integer(f->i);
	case FIELD_U8:
	case FIELD_U16:
	case FIELD_U32:
	case FIELD_U64:
		return f->u <= INT64_MAX ? json_integer((json_int_t)f->u) : json_from_formatted(UNSIGNED, f);
	case FIELD_TIMESTAMP:
		return f->u <= INT64_MAX ? wrap(TIMESTAMP, json_integer((json_int_t)f->u))
					 : json_from_formatted(TIMESTAMP, f);
	case FIELD_F32:
	case FIELD_F64:
		return json_from_float(f);
	case FIELD_DECIMAL:
		return json_from_formatted(DECIMAL, f);
	case FIELD_STRING:
		return json_from_string(&f->text);
	case FIELD_BYTES:
		return wrap(BASE64, json_from_base64(&f->text));
	case FIELD_TABLE:
	case FIELD_ARRAY:
		if (depth > FIELD_DEPTH_MAX)
			return json_null();
		return f->kind == FIELD_TABLE ? json_from_table(&f->table, depth) : json_from_array(&f->table, depth);
	case FIELD_VOID:
		break;
	}
	return json_null();
}

static json_t *json_from_array(const struct table *t, unsigned depth) {
	json_t *array = json_array();

	for (size_t i = 0; array && i < t->n; i++) {
		json_t *value = json_from_field(&t->fields[i], depth + 1);

		if (!value || json_array_append_new(array, value) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static int set_field(json_t *object, const struct field *f, unsigned depth) {
	CLEANUP(strbuf_free) struct strbuf encoded = STRBUF_INIT;
	const char *name = f->name.data ? f->name.data : "";
	size_t len = f->name.len;
	json_t *checked = json_stringn(name, len), *value;

	if (!checked) {
		base64_append(&encoded, name, len);
		if (encoded.failed)
			return -ENOMEM;
		name = strbuf_str(&encoded);
		len = encoded.len;
	}
	json_decref(checked);
	if (json_object_getn(object, name, len))
		return 0;
	value = json_from_field(f, depth);
	return value && json_object_setn_new_nocheck(object, name, len, value) == 0 ? 0 : -ENOMEM;
}

static json_t *json_from_table(const struct table *t, unsigned depth) {
	json_t *object = json_object();

	for (size_t i = 0; object && i < t->n; i++) {
		if (set_field(object, &t->fields[i], depth + 1) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	/* The headers themselves cannot be mistaken. */
	if (object && depth > 0 && json_object_size(object) == 1 &&
	    special_from_name(t->fields[0].name.data, t->fields[0].name.len) != N_SPECIAL)
		return wrap(TABLE, object);
	return object;
}

int headers_to_json(const struct table *t, json_t **ret) {
	json_t *object = json_from_table(t, 0);

	if (!object)
		return -ENOMEM;
	*ret = object;
	return 0;
}

/* --- from JSON --------------------------------------------------------------------------------------------------- */

static int fail(const char **ret_why, const char *why) {
	*ret_why = why;
	return -EINVAL;
}

static int table_from_object(json_t *object, unsigned depth, struct table *ret, const char **ret_why);
static int table_from_array(json_t *array, unsigned depth, struct table *ret, const char **ret_why);

static int text_from_base64(json_t *value, struct text *ret, const char **ret_why) {
	CLEANUP(strbuf_free) struct strbuf decoded = STRBUF_INIT;
	int r;

	if (!json_is_string(value))
		return fail(ret_why, "base64 is not a string");
	r = base64_decode(&decoded, json_string_value(value), json_string_length(value));
	if (r == -EINVAL)
		return fail(ret_why, "what should be base64 is not");
	return r < 0 ? r : text_set(ret, decoded.data, decoded.len);
}

/* Digits alone. */
static int parse_u64(const char *s, uint64_t *ret) {
	uint64_t n = 0;

	if (!*s)
		return -EINVAL;
	for (; *s; s++) {
		unsigned digit = (unsigned char)*s - (unsigned)'0';

		if (digit > 9 || n > (UINT64_MAX - digit) / 10)
			return -EINVAL;
		n = n * 10 + digit;
	}
	*ret = n;
	return 0;
}

static int u64_from_json(json_t *value, uint64_t *ret) {
	if (json_is_integer(value) && json_integer_value(value) >= 0) {
		*ret = (uint64_t)json_integer_value(value);
		return 0;
	}
	if (json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value))
		return parse_u64(json_string_value(value), ret);
	return -EINVAL;
}

static int decimal_from_json(json_t *value, struct field *f) {
	const char *s = json_string_value(value), *point = s ? strchr(s, '.') : NULL;
	char digits[32];
	size_t scale = point ? strlen(point + 1) : 0, n = s ? strcspn(s, ".") : 0;
	uint64_t number;

	if (!s || n == 0 || (point && scale == 0) || scale > DECIMAL_SCALE_MAX)
		return -EINVAL;
	/* Leading zeros of a small number with a large scale would not fit. */
	while (n > 0 && *s == '0') {
		s++;
		n--;
	}
	if (n == 0 && point)
		for (s = point + 1; *s == '0' && s[1]; s++)
			;
	if (n == 0)
		(void)snprintf(digits, sizeof(digits), "%s", point ? s : "0");
	else
		(void)snprintf(digits, sizeof(digits), "%.*s%s", (int)n, s, point ? point + 1 : "");
	if (strlen(s) + 1 >= sizeof(digits) || parse_u64(digits, &number) < 0 || number > UINT32_MAX)
		return -EINVAL;
	f->kind = FIELD_DECIMAL;
	f->decimal.scale = (uint8_t)scale;
	f->decimal.value = (uint32_t)number;
	return 0;
}

static int float_from_json(json_t *value, struct field *f) {
	const char *s = json_string_value(value);

	if (!s || (strcmp(s, "nan") != 0 && strcmp(s, "inf") != 0 && strcmp(s, "-inf") != 0))
		return -EINVAL;
	f->kind = FIELD_F64;
	f->f = *s == 'n' ? (double)NAN : *s == '-' ? -(double)INFINITY : (double)INFINITY;
	return 0;
}

static int special_from_json(enum special s, json_t *value, unsigned depth, struct field *f, const char **ret_why) {
	int r = -EINVAL;

	switch (s) {
	case BASE64:
	case STRING_BASE64:
		r = text_from_base64(value, &f->text, ret_why);
		if (r == 0)
			f->kind = s == BASE64 ? FIELD_BYTES : FIELD_STRING;
		return r;
	case TIMESTAMP:
	case UNSIGNED:
		r = u64_from_json(value, &f->u);
		if (r == 0)
			f->kind = s == UNSIGNED ? FIELD_U64 : FIELD_TIMESTAMP;
		return r == 0 ? 0 : fail(ret_why, "a timestamp or unsigned number is not a number from 0 to 2^64 - 1");
	case DECIMAL:
		r = decimal_from_json(value, f);
		return r == 0 ? 0 : fail(ret_why, "a decimal is not a string of digits that makes 32 bits at most");
	case FLOAT:
		r = float_from_json(value, f);
		return r == 0 ? 0 : fail(ret_why, "a float is not nan, inf or -inf");
	case TABLE:
		if (!json_is_object(value))
			return fail(ret_why, "a table is not an object");
		r = table_from_object(value, depth, &f->table, ret_why);
		if (r == 0)
			f->kind = FIELD_TABLE;
		return r;
	case N_SPECIAL:
		break;
	}
	return r;
}

static int field_from_object(json_t *object, unsigned depth, struct field *f, const char **ret_why) {
	enum special s = N_SPECIAL;
	void *first = json_object_iter(object);
	int r;

	if (json_object_size(object) == 1)
		s = special_from_name(json_object_iter_key(first), json_object_iter_key_len(first));
	if (s != N_SPECIAL)
		return special_from_json(s, json_object_iter_value(first), depth, f, ret_why);
	r = table_from_object(object, depth, &f->table, ret_why);
	if (r == 0)
		f->kind = FIELD_TABLE;
	return r;
}

/* Sets the kind of the field, which is FIELD_VOID, last: so there is never anything half made to be freed. */
static int field_from_json(json_t *value, unsigned depth, struct field *f, const char **ret_why) {
	int r = 0;

	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return field_from_object(value, depth, f, ret_why);
	case JSON_ARRAY:
		r = table_from_array(value, depth, &f->table, ret_why);
		if (r == 0)
			f->kind = FIELD_ARRAY;
		break;
	case JSON_STRING:
		r = text_set(&f->text, json_string_value(value), json_string_length(value));
		if (r == 0)
			f->kind = FIELD_STRING;
		break;
	case JSON_INTEGER:
		f->i = json_integer_value(value);
		f->kind = f->i >= INT32_MIN && f->i <= INT32_MAX ? FIELD_I32 : FIELD_I64;
		break;
	case JSON_REAL:
		f->f = json_real_value(value);
		f->kind = FIELD_F64;
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		f->boolean = json_is_true(value);
		f->kind = FIELD_BOOLEAN;
		break;
	case JSON_NULL:
		break;
	}
	return r;
}

static int reserve(struct table *t, size_t n) {
	t->fields = n > 0 ? calloc(n, sizeof(*t->fields)) : NULL;
	return n > 0 && !t->fields ? -ENOMEM : 0;
}

static int table_from_object(json_t *object, unsigned depth, struct table *ret, const char **ret_why) {
	CLEANUP(table_clear) struct table t = {0};
	int r;

	if (depth > FIELD_DEPTH_MAX)
		return fail(ret_why, "headers are nested too deeply");
	r = reserve(&t, json_object_size(object));
	for (void *i = json_object_iter(object); r == 0 && i; i = json_object_iter_next(object, i)) {
		struct field *f = &t.fields[t.n++];

		f->kind = FIELD_VOID;
		if (json_object_iter_key_len(i) > NAME_MAX_BYTES)
			return fail(ret_why, "the name of a header is longer than 255 bytes");
		r = text_set(&f->name, json_object_iter_key(i), json_object_iter_key_len(i));
		if (r == 0)
			r = field_from_json(json_object_iter_value(i), depth + 1, f, ret_why);
	}
	if (r < 0)
		return r;
	*ret = t;
	t = (struct table){0};
	return 0;
}

static int table_from_array(json_t *array, unsigned depth, struct table *ret, const char **ret_why) {
	CLEANUP(table_clear) struct table t = {0};
	int r;

	if (depth > FIELD_DEPTH_MAX)
		return fail(ret_why, "headers are nested too deeply");
	r = reserve(&t, json_array_size(array));
	for (size_t i = 0; r == 0 && i < json_array_size(array); i++) {
		struct field *f = &t.fields[t.n++];

		f->kind = FIELD_VOID;
		r = field_from_json(json_array_get(array, i), depth + 1, f, ret_why);
	}
	if (r < 0)
		return r;
	*ret = t;
	t = (struct table){0};
	return 0;
}

int headers_from_json(json_t *object, struct table *ret, const char **ret_why) {
	CLEANUP(table_clear) struct table t = {0};
	int r;

	if (!json_is_object(object))
		return fail(ret_why, "headers are not an object");
	r = table_from_object(object, 0, &t, ret_why);
	if (r < 0)
		return r;
	if (table_wire_size(&t) > HEADERS_SIZE_MAX)
		return fail(ret_why, "headers are larger than a frame may be");
	*ret = t;
	t = (struct table){0};
	return 0;
}

int headers_value_from_json(json_t *value, struct field *ret, const char **ret_why) {
	return field_from_json(value, 1, ret, ret_why);
}
