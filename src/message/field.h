/* SPDX-License-Identifier: MIT */
/* AMQP 0-9-1 field values (headers, arguments) as data of our own: no library type, no shared memory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/macro.h"

/* Bytes of known length, followed by a NUL that is not counted; may contain NULs. data is NULL when absent. */
struct text {
	char *data; /* owned */
	size_t len;
};

/* The wire types of RabbitMQ's dialect (https://www.rabbitmq.com/amqp-0-9-1-errata.html, section 3), by their letter. */
enum field_kind {
	FIELD_BOOLEAN = 't',
	FIELD_I8 = 'b',
	FIELD_U8 = 'B',
	FIELD_I16 = 's',
	FIELD_U16 = 'u',
	FIELD_I32 = 'I',
	FIELD_U32 = 'i',
	FIELD_I64 = 'l',
	FIELD_U64 = 'L',
	FIELD_F32 = 'f',
	FIELD_F64 = 'd',
	FIELD_DECIMAL = 'D',
	FIELD_STRING = 'S', /* UTF-8 by convention, any bytes in practice */
	FIELD_BYTES = 'x',
	FIELD_TIMESTAMP = 'T', /* seconds since 1970 */
	FIELD_TABLE = 'F',
	FIELD_ARRAY = 'A',
	FIELD_VOID = 'V',
};

/* No table is nested deeper than this: whoever makes one (the AMQP decoder, the configuration) sees to it. */
#define FIELD_DEPTH_MAX 64

struct field;

/* A table, whose fields have names, or an array, whose fields have none. */
struct table {
	struct field *fields; /* owned, n of them */
	size_t n;
};

struct field {
	struct text name; /* absent in an array; at most 255 bytes */
	enum field_kind kind;
	union {
		bool boolean;
		int64_t i;    /* I8, I16, I32, I64 */
		uint64_t u;   /* U8, U16, U32, U64, TIMESTAMP */
		double f;     /* F32, F64 */
		struct {
			uint8_t scale;
			uint32_t value;
		} decimal; /* value / 10^scale */
		struct text text; /* STRING, BYTES; owned */
		struct table table; /* TABLE, ARRAY; owned */
	};
};

/* Makes t a copy of len bytes, with the NUL; what it held is freed. `data` may be NULL if len is 0: present, but empty.
 * -ENOMEM, with t unchanged. */
int text_set(struct text *t, const void *data, size_t len);
void text_clear(struct text *t);

static inline void text_clear_cleanup(struct text *t) {
	text_clear(t);
}

/* Frees everything in the table and leaves it empty. */
void table_clear(struct table *t);

static inline void table_clear_cleanup(struct table *t) {
	table_clear(t);
}

/* A deep copy. -ENOMEM; -ELOOP when nested deeper than FIELD_DEPTH_MAX. */
int table_copy(const struct table *from, struct table *ret);

/* The first field of that name, or NULL. Borrowed. */
const struct field *table_find(const struct table *t, const char *name);

/* The field of that name (at most 255 bytes), made if there is none, emptied to FIELD_VOID if there is. -ENOMEM. Borrowed, good
 * until the table changes again. */
int table_set(struct table *t, const char *name, struct field **ret);
/* table_set and the value in one. -ENOMEM. */
int table_set_i32(struct table *t, const char *name, int32_t value);
int table_set_timestamp(struct table *t, const char *name, uint64_t seconds);
int table_set_string(struct table *t, const char *name, const void *data, size_t len);

/* Removes every field of which `drop` says so. */
void table_remove_if(struct table *t, bool (*drop)(const struct field *f));

/* How many bytes the table takes in a frame. */
size_t table_wire_size(const struct table *t);

/* Reads a field of any integer kind. -EINVAL for other kinds, -ERANGE when it does not fit. */
int field_get_i64(const struct field *f, int64_t *ret);

/* The value as text for an environment variable or a log line, appended to b: strings and bytes as they are, numbers in
 * decimal, booleans as "true" and "false", timestamps as seconds, void as nothing, tables and arrays as JSON
 * (message/json.h). -ENOMEM. */
struct strbuf;
int field_format(const struct field *f, struct strbuf *b);
