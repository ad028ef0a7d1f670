/* SPDX-License-Identifier: MIT */
#include "broker/table.h"

#include <errno.h>
#include <stdlib.h>

#define FIELD_NAME_MAX 255

static int entries_from_amqp(const amqp_table_entry_t *entries, int n, unsigned depth, struct table *ret);
static int values_from_amqp(const amqp_field_value_t *values, int n, unsigned depth, struct table *ret);

static int field_from_amqp(const amqp_field_value_t *v, unsigned depth, struct field *f) {
	int r = 0;

	f->kind = FIELD_VOID;
	switch ((amqp_field_value_kind_t)v->kind) {
	case AMQP_FIELD_KIND_BOOLEAN:
		f->boolean = v->value.boolean;
		break;
	case AMQP_FIELD_KIND_I8:
		f->i = v->value.i8;
		break;
	case AMQP_FIELD_KIND_U8:
		f->u = v->value.u8;
		break;
	case AMQP_FIELD_KIND_I16:
		f->i = v->value.i16;
		break;
	case AMQP_FIELD_KIND_U16:
		f->u = v->value.u16;
		break;
	case AMQP_FIELD_KIND_I32:
		f->i = v->value.i32;
		break;
	case AMQP_FIELD_KIND_U32:
		f->u = v->value.u32;
		break;
	case AMQP_FIELD_KIND_I64:
		f->i = v->value.i64;
		break;
	case AMQP_FIELD_KIND_U64:
	case AMQP_FIELD_KIND_TIMESTAMP:
		f->u = v->value.u64;
		break;
	case AMQP_FIELD_KIND_F32:
		f->f = (double)v->value.f32;
		break;
	case AMQP_FIELD_KIND_F64:
		f->f = v->value.f64;
		break;
	case AMQP_FIELD_KIND_DECIMAL:
		f->decimal.scale = v->value.decimal.decimals;
		f->decimal.value = v->value.decimal.value;
		break;
	case AMQP_FIELD_KIND_UTF8:
	case AMQP_FIELD_KIND_BYTES:
		r = text_set(&f->text, v->value.bytes.bytes, v->value.bytes.len);
		break;
	case AMQP_FIELD_KIND_TABLE:
		if (depth >= FIELD_DEPTH_MAX)
			return 0;
		r = entries_from_amqp(v->value.table.entries, v->value.table.num_entries, depth + 1, &f->table);
		break;
	case AMQP_FIELD_KIND_ARRAY:
		if (depth >= FIELD_DEPTH_MAX)
			return 0;
		r = values_from_amqp(v->value.array.entries, v->value.array.num_entries, depth + 1, &f->table);
		break;
	case AMQP_FIELD_KIND_VOID:
		break;
	default:
		return 0;
	}
	if (r == 0)
		f->kind = (enum field_kind)v->kind; /* the letters of the wire in both */
	return r;
}

static int table_reserve(struct table *t, int n) {
	if (n <= 0)
		return 0;
	t->fields = calloc((size_t)n, sizeof(*t->fields));
	return t->fields ? 0 : -ENOMEM;
}

static int entries_from_amqp(const amqp_table_entry_t *entries, int n, unsigned depth, struct table *ret) {
	CLEANUP(table_clear) struct table t = {0};
	int r = table_reserve(&t, n);

	for (int i = 0; r == 0 && i < n; i++) {
		t.n = (size_t)i + 1;
		t.fields[i].kind = FIELD_VOID;
		r = text_set(&t.fields[i].name, entries[i].key.bytes, entries[i].key.len);
		if (r == 0)
			r = field_from_amqp(&entries[i].value, depth, &t.fields[i]);
	}
	if (r < 0)
		return r;
	*ret = t;
	t = (struct table){0};
	return 0;
}

static int values_from_amqp(const amqp_field_value_t *values, int n, unsigned depth, struct table *ret) {
	CLEANUP(table_clear) struct table t = {0};
	int r = table_reserve(&t, n);

	for (int i = 0; r == 0 && i < n; i++) {
		t.n = (size_t)i + 1;
		r = field_from_amqp(&values[i], depth, &t.fields[i]);
	}
	if (r < 0)
		return r;
	*ret = t;
	t = (struct table){0};
	return 0;
}

int table_from_amqp(const amqp_table_t *from, struct table *ret) {
	return entries_from_amqp(from->entries, from->num_entries, 0, ret);
}

static int table_to_amqp_nested(const struct table *from, amqp_pool_t *pool, unsigned depth, amqp_table_t *ret);
static int array_to_amqp(const struct table *from, amqp_pool_t *pool, unsigned depth, amqp_array_t *ret);

static int field_to_amqp(const struct field *f, amqp_pool_t *pool, unsigned depth, amqp_field_value_t *v) {
	v->kind = (uint8_t)f->kind;
	switch (f->kind) {
	case FIELD_BOOLEAN:
		v->value.boolean = f->boolean;
		break;
	case FIELD_I8:
		v->value.i8 = (int8_t)f->i;
		break;
	case FIELD_U8:
		v->value.u8 = (uint8_t)f->u;
		break;
	case FIELD_I16:
		v->value.i16 = (int16_t)f->i;
		break;
	case FIELD_U16:
		v->value.u16 = (uint16_t)f->u;
		break;
	case FIELD_I32:
		v->value.i32 = (int32_t)f->i;
		break;
	case FIELD_U32:
		v->value.u32 = (uint32_t)f->u;
		break;
	case FIELD_I64:
		v->value.i64 = f->i;
		break;
	case FIELD_U64:
	case FIELD_TIMESTAMP:
		v->value.u64 = f->u;
		break;
	case FIELD_F32:
		v->value.f32 = (float)f->f;
		break;
	case FIELD_F64:
		v->value.f64 = f->f;
		break;
	case FIELD_DECIMAL:
		v->value.decimal.decimals = f->decimal.scale;
		v->value.decimal.value = f->decimal.value;
		break;
	case FIELD_STRING:
	case FIELD_BYTES:
		v->value.bytes = (amqp_bytes_t){.len = f->text.len, .bytes = f->text.data};
		break;
	case FIELD_TABLE:
		return table_to_amqp_nested(&f->table, pool, depth + 1, &v->value.table);
	case FIELD_ARRAY:
		return array_to_amqp(&f->table, pool, depth + 1, &v->value.array);
	case FIELD_VOID:
		break;
	}
	return 0;
}

static int table_to_amqp_nested(const struct table *from, amqp_pool_t *pool, unsigned depth, amqp_table_t *ret) {
	amqp_table_entry_t *entries = NULL;

	if (depth > FIELD_DEPTH_MAX)
		return -ELOOP;
	if (from->n > 0) {
		entries = amqp_pool_alloc(pool, from->n * sizeof(*entries));
		if (!entries)
			return -ENOMEM;
	}
	for (size_t i = 0; i < from->n; i++) {
		const struct text *name = &from->fields[i].name;
		int r;

		if (name->len > FIELD_NAME_MAX)
			return -EINVAL;
		entries[i].key = (amqp_bytes_t){.len = name->len, .bytes = name->data};
		r = field_to_amqp(&from->fields[i], pool, depth, &entries[i].value);
		if (r < 0)
			return r;
	}
	*ret = (amqp_table_t){.num_entries = (int)from->n, .entries = entries};
	return 0;
}

static int array_to_amqp(const struct table *from, amqp_pool_t *pool, unsigned depth, amqp_array_t *ret) {
	amqp_field_value_t *values = NULL;

	if (depth > FIELD_DEPTH_MAX)
		return -ELOOP;
	if (from->n > 0) {
		values = amqp_pool_alloc(pool, from->n * sizeof(*values));
		if (!values)
			return -ENOMEM;
	}
	for (size_t i = 0; i < from->n; i++) {
		int r = field_to_amqp(&from->fields[i], pool, depth, &values[i]);

		if (r < 0)
			return r;
	}
	*ret = (amqp_array_t){.num_entries = (int)from->n, .entries = values};
	return 0;
}

int table_to_amqp(const struct table *from, amqp_pool_t *pool, amqp_table_t *ret) {
	return table_to_amqp_nested(from, pool, 0, ret);
}
