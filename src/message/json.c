/* SPDX-License-Identifier: MIT */
#include "message/json.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/base64.h"

static json_t *json_from_field(const struct field *f, unsigned depth);

/* jansson checks for UTF-8 and refuses what is not; only then is base64 needed. NULL: no memory. */
static json_t *json_from_text(const struct text *t) {
	CLEANUP(strbuf_free) struct strbuf encoded = STRBUF_INIT;
	json_t *value = json_stringn(t->data ? t->data : "", t->len);

	if (value)
		return value;
	base64_append(&encoded, t->data, t->len);
	return encoded.failed ? NULL : json_stringn_nocheck(encoded.data, encoded.len);
}

static json_t *json_from_formatted(const struct field *f) {
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;

	if (field_format(f, &text) < 0)
		return NULL;
	return json_stringn_nocheck(strbuf_str(&text), text.len);
}

static json_t *json_from_float(const struct field *f) {
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;

	if (!isfinite(f->f))
		return json_from_formatted(f);
	if (f->kind != FIELD_F32)
		return json_real(f->f);
	/* The double nearest to the shortest decimal of the 32-bit float: 0.1, not 0.10000000149. */
	if (field_format(f, &text) < 0)
		return NULL;
	return json_real(strtod(strbuf_str(&text), NULL));
}

static int json_set_field(json_t *object, const struct field *f, unsigned depth) {
	json_t *name = json_from_text(&f->name);
	json_t *value = NULL;
	int r = -ENOMEM;

	if (!name)
		return -ENOMEM;
	if (json_object_getn(object, json_string_value(name), json_string_length(name))) {
		r = 0;
	} else {
		value = json_from_field(f, depth);
		if (value &&
		    json_object_setn_new_nocheck(object, json_string_value(name), json_string_length(name), value) == 0)
			r = 0;
	}
	json_decref(name);
	return r;
}

static json_t *json_from_table(const struct table *t, bool is_array, unsigned depth) {
	json_t *container;

	if (depth >= FIELD_DEPTH_MAX)
		return json_null();
	container = is_array ? json_array() : json_object();
	if (!container)
		return NULL;
	for (size_t i = 0; i < t->n; i++) {
		int r;

		if (is_array) {
			json_t *value = json_from_field(&t->fields[i], depth + 1);

			r = value && json_array_append_new(container, value) == 0 ? 0 : -ENOMEM;
		} else {
			r = json_set_field(container, &t->fields[i], depth + 1);
		}
		if (r < 0) {
			json_decref(container);
			return NULL;
		}
	}
	return container;
}

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
	case FIELD_TIMESTAMP:
		return f->u <= INT64_MAX ? json_integer((json_int_t)f->u) : json_from_formatted(f);
	case FIELD_F32:
	case FIELD_F64:
		return json_from_float(f);
	case FIELD_DECIMAL:
		return json_from_formatted(f);
	case FIELD_STRING:
	case FIELD_BYTES:
		return json_from_text(&f->text);
	case FIELD_TABLE:
		return json_from_table(&f->table, false, depth);
	case FIELD_ARRAY:
		return json_from_table(&f->table, true, depth);
	case FIELD_VOID:
		break;
	}
	return json_null();
}

static int dump_piece(const char *data, size_t len, void *userdata) {
	struct strbuf *b = userdata;

	strbuf_append(b, data, len);
	return b->failed ? -1 : 0;
}

int json_append_field(const struct field *f, struct strbuf *b) {
	json_t *value = json_from_field(f, 0);
	int r;

	if (!value)
		return -ENOMEM;
	/* Everything in the tree was checked when it was made: what can fail here is memory. */
	r = json_dump_callback(value, dump_piece, b, JSON_COMPACT | JSON_ENCODE_ANY) == 0 && !b->failed ? 0 : -ENOMEM;
	json_decref(value);
	return r;
}
