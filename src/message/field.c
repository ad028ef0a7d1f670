/* SPDX-License-Identifier: MIT */
#include "message/field.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "message/json.h"

int text_set(struct text *t, const void *data, size_t len) {
	char *copy;

	if (len == SIZE_MAX)
		return -ENOMEM;
	copy = malloc(len + 1);
	if (!copy)
		return -ENOMEM;
	if (len)
		memcpy(copy, data, len);
	copy[len] = '\0';
	free(t->data);
	*t = (struct text){copy, len};
	return 0;
}

void text_clear(struct text *t) {
	free(t->data);
	*t = (struct text){0};
}

/* Leaves the name. */
static void field_clear_value(struct field *f) {
	if (f->kind == FIELD_STRING || f->kind == FIELD_BYTES)
		text_clear(&f->text);
	else if (f->kind == FIELD_TABLE || f->kind == FIELD_ARRAY)
		table_clear(&f->table);
	*f = (struct field){.name = f->name, .kind = FIELD_VOID};
}

static void field_clear(struct field *f) {
	field_clear_value(f);
	text_clear(&f->name);
}

void table_clear(struct table *t) {
	for (size_t i = 0; i < t->n; i++)
		field_clear(&t->fields[i]);
	free(t->fields);
	*t = (struct table){0};
}

static int table_copy_nested(const struct table *from, unsigned depth, struct table *ret);

/* Fills in `to`, which is all zero: on failure it is still good for table_clear. */
static int field_copy(const struct field *from, unsigned depth, struct field *to) {
	int r = 0;

	if (from->name.data)
		r = text_set(&to->name, from->name.data, from->name.len);
	if (r < 0)
		return r;
	switch (from->kind) {
	case FIELD_STRING:
	case FIELD_BYTES:
		r = text_set(&to->text, from->text.data, from->text.len);
		break;
	case FIELD_TABLE:
	case FIELD_ARRAY:
		r = table_copy_nested(&from->table, depth + 1, &to->table);
		break;
	default: {
		struct text name = to->name;

		*to = *from;
		to->name = name;
		break;
	}
	}
	if (r == 0)
		to->kind = from->kind;
	return r;
}

static int table_copy_nested(const struct table *from, unsigned depth, struct table *ret) {
	CLEANUP(table_clear) struct table copy = {0};

	if (depth > FIELD_DEPTH_MAX)
		return -ELOOP;
	if (from->n == 0) {
		*ret = copy;
		return 0;
	}
	copy.fields = calloc(from->n, sizeof(*copy.fields));
	if (!copy.fields)
		return -ENOMEM;
	for (size_t i = 0; i < from->n; i++) {
		int r;

		copy.n = i + 1;
		r = field_copy(&from->fields[i], depth, &copy.fields[i]);
		if (r < 0)
			return r;
	}
	*ret = copy;
	copy = (struct table){0};
	return 0;
}

int table_copy(const struct table *from, struct table *ret) {
	return table_copy_nested(from, 0, ret);
}

const struct field *table_find(const struct table *t, const char *name) {
	size_t len = strlen(name);

	for (size_t i = 0; i < t->n; i++) {
		const struct text *n = &t->fields[i].name;

		if (n->data && n->len == len && memcmp(n->data, name, len) == 0)
			return &t->fields[i];
	}
	return NULL;
}

int table_set(struct table *t, const char *name, struct field **ret) {
	struct field *f = (struct field *)table_find(t, name);
	struct field *fields;
	struct text copy = {0};

	if (f) {
		field_clear_value(f);
		*ret = f;
		return 0;
	}
	if (text_set(&copy, name, strlen(name)) < 0)
		return -ENOMEM;
	fields = reallocarray(t->fields, t->n + 1, sizeof(*fields));
	if (!fields) {
		text_clear(&copy);
		return -ENOMEM;
	}
	t->fields = fields;
	f = &fields[t->n++];
	*f = (struct field){.name = copy, .kind = FIELD_VOID};
	*ret = f;
	return 0;
}

int table_set_i32(struct table *t, const char *name, int32_t value) {
	struct field *f;
	int r = table_set(t, name, &f);

	if (r < 0)
		return r;
	f->kind = FIELD_I32;
	f->i = value;
	return 0;
}

int table_set_timestamp(struct table *t, const char *name, uint64_t seconds) {
	struct field *f;
	int r = table_set(t, name, &f);

	if (r < 0)
		return r;
	f->kind = FIELD_TIMESTAMP;
	f->u = seconds;
	return 0;
}

int table_set_string(struct table *t, const char *name, const void *data, size_t len) {
	struct text copy = {0};
	struct field *f;
	int r = text_set(&copy, data, len);

	if (r == 0)
		r = table_set(t, name, &f);
	if (r < 0) {
		text_clear(&copy);
		return r;
	}
	f->kind = FIELD_STRING;
	f->text = copy;
	return 0;
}

void table_remove_if(struct table *t, bool (*drop)(const struct field *f)) {
	size_t kept = 0;

	for (size_t i = 0; i < t->n; i++) {
		if (drop(&t->fields[i]))
			field_clear(&t->fields[i]);
		else
			t->fields[kept++] = t->fields[i];
	}
	t->n = kept;
}

static size_t field_wire_size(const struct field *f) {
	switch (f->kind) {
	case FIELD_VOID:
		return 0;
	case FIELD_BOOLEAN:
	case FIELD_I8:
	case FIELD_U8:
		return 1;
	case FIELD_I16:
	case FIELD_U16:
		return 2;
	case FIELD_I32:
	case FIELD_U32:
	case FIELD_F32:
		return 4;
	case FIELD_I64:
	case FIELD_U64:
	case FIELD_F64:
	case FIELD_TIMESTAMP:
		return 8;
	case FIELD_DECIMAL:
		return 5;
	case FIELD_STRING:
	case FIELD_BYTES:
		return 4 + f->text.len;
	case FIELD_TABLE:
	case FIELD_ARRAY:
		return table_wire_size(&f->table);
	}
	return 0;
}

size_t table_wire_size(const struct table *t) {
	size_t size = 4;

	for (size_t i = 0; i < t->n; i++) {
		const struct field *f = &t->fields[i];

		/* The name with its length, where there is one (an array has none), the letter of the kind, the value. */
		size += (f->name.data ? 1 + f->name.len : 0) + 1 + field_wire_size(f);
	}
	return size;
}

int field_get_i64(const struct field *f, int64_t *ret) {
	switch (f->kind) {
	case FIELD_I8:
	case FIELD_I16:
	case FIELD_I32:
	case FIELD_I64:
		*ret = f->i;
		return 0;
	case FIELD_U8:
	case FIELD_U16:
	case FIELD_U32:
	case FIELD_U64:
		if (f->u > INT64_MAX)
			return -ERANGE;
		*ret = (int64_t)f->u;
		return 0;
	default:
		return -EINVAL;
	}
}

/* The shortest decimal that reads back as the same number. */
static void format_float(const struct field *f, struct strbuf *b) {
	bool single = f->kind == FIELD_F32;
	char text[40];

	if (isnan(f->f)) {
		strbuf_append_str(b, "NaN");
		return;
	}
	if (isinf(f->f)) {
		strbuf_append_str(b, f->f < 0 ? "-Infinity" : "Infinity");
		return;
	}
	for (int digits = single ? 6 : 15; digits <= (single ? 9 : 17); digits++) {
		(void)snprintf(text, sizeof(text), "%.*g", digits, f->f);
		if (single ? strtof(text, NULL) == (float)f->f : strtod(text, NULL) == f->f)
			break;
	}
	strbuf_append_str(b, text);
}

/* 1234 with scale 2 is "12.34", with scale 6 "0.001234". */
static void format_decimal(const struct field *f, struct strbuf *b) {
	size_t scale = f->decimal.scale;
	char digits[270]; /* up to 255 zeros, then up to 10 digits */
	int n = snprintf(digits, sizeof(digits), "%0*" PRIu32, (int)scale + 1, f->decimal.value);

	strbuf_append(b, digits, (size_t)n - scale);
	if (scale) {
		strbuf_append_char(b, '.');
		strbuf_append(b, digits + (size_t)n - scale, scale);
	}
}

int field_format(const struct field *f, struct strbuf *b) {
	switch (f->kind) {
	case FIELD_BOOLEAN:
		strbuf_append_str(b, f->boolean ? "true" : "false");
		break;
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
	case FIELD_TIMESTAMP:
		strbuf_printf(b, "%" PRIu64, f->u);
		break;
	case FIELD_F32:
	case FIELD_F64:
		format_float(f, b);
		break;
	case FIELD_DECIMAL:
		format_decimal(f, b);
		break;
	case FIELD_STRING:
	case FIELD_BYTES:
		strbuf_append(b, f->text.data, f->text.len);
		break;
	case FIELD_TABLE:
	case FIELD_ARRAY:
		return json_append_field(f, b);
	case FIELD_VOID:
		break;
	}
	return b->failed ? -ENOMEM : 0;
}
