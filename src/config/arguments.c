/* SPDX-License-Identifier: MIT */
/* AMQP tables (arguments) as the configuration writes them. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config/reader.h"

/* Brokers and this program walk tables recursively. */
#define DEPTH_MAX 16
#define NAME_MAX_BYTES 255 /* a short string */

static void read_elements(struct reader *r, const config_setting_t *s, struct table *ret, unsigned depth);

/* An integer that fits 32 bits goes out as a signed int ('I'), as most clients send it: a headers exchange compares the
 * types too. One that is larger, or written with the suffix L, goes out as a signed long ('l'). RabbitMQ takes both
 * wherever it wants an integer (x-message-ttl, x-max-length, x-delivery-limit, ...). */
static int read_field(struct reader *r, const config_setting_t *s, struct field *f, unsigned depth) {
	const char *string;

	switch (config_setting_type(s)) {
	case CONFIG_TYPE_INT:
		f->kind = FIELD_I32;
		f->i = config_setting_get_int(s);
		return 0;
	case CONFIG_TYPE_INT64:
		f->kind = FIELD_I64;
		f->i = config_setting_get_int64(s);
		return 0;
	case CONFIG_TYPE_FLOAT:
		f->kind = FIELD_F64;
		f->f = config_setting_get_float(s);
		if (!isfinite(f->f))
			reader_problem(r, s, "expected a finite number");
		return 0;
	case CONFIG_TYPE_BOOL:
		f->kind = FIELD_BOOLEAN;
		f->boolean = config_setting_get_bool(s);
		return 0;
	case CONFIG_TYPE_STRING:
		string = setting_string(s);
		f->kind = FIELD_STRING;
		f->text = (struct text){0};
		return text_set(&f->text, string, strlen(string));
	default:
		f->kind = config_setting_is_group(s) ? FIELD_TABLE : FIELD_ARRAY;
		f->table = (struct table){0};
		if (depth >= DEPTH_MAX)
			reader_problem(r, s, "expected at most %d levels of groups and arrays", DEPTH_MAX);
		else
			read_elements(r, s, &f->table, depth + 1);
		return r->error;
	}
}

static void read_elements(struct reader *r, const config_setting_t *s, struct table *ret, unsigned depth) {
	int n = config_setting_length(s);
	struct table t = {0};

	if (n == 0)
		return;
	t.fields = calloc((size_t)n, sizeof(*t.fields));
	if (!t.fields) {
		(void)reader_check(r, -ENOMEM);
		return;
	}
	for (int i = 0; i < n && !r->error; i++) {
		const config_setting_t *element = config_setting_get_elem((config_setting_t *)s, (unsigned)i);
		const char *name = config_setting_name(element);
		size_t mark = name ? reader_enter(r, name) : reader_enter_index(r, i);
		struct field *f = &t.fields[t.n];

		f->kind = FIELD_VOID;
		t.n++; /* first, so that what a failure leaves half-made is freed */
		if (name && strlen(name) > NAME_MAX_BYTES)
			reader_problem(r, element, "expected a name of at most %d bytes, found %zu", NAME_MAX_BYTES,
				       strlen(name));
		if (name)
			(void)reader_check(r, text_set(&f->name, name, strlen(name)));
		if (!r->error)
			(void)reader_check(r, read_field(r, element, f, depth));
		reader_leave(r, mark);
	}
	*ret = t;
}

void arguments_read(struct reader *r, const config_setting_t *s, struct table *ret) {
	table_clear(ret);
	read_elements(r, s, ret, 1);
}
