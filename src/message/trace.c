/* SPDX-License-Identifier: MIT */
#include "message/trace.h"

#include <string.h>

/* "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" */
#define PARENT_LENGTH 55
#define STATE_MAX 512
#define MEMBERS_MAX 32
#define KEY_MAX 256
#define VALUE_MAX 256

#define HEX "0123456789abcdef"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

/* The header, if it is text that could be a string of C. */
static const struct text *find(const struct message *m, const char *name) {
	const struct properties *p = &m->properties;
	const struct field *f = p->has_headers ? table_find(&p->headers, name) : NULL;

	if (!f || (f->kind != FIELD_STRING && f->kind != FIELD_BYTES) || !f->text.data || strlen(f->text.data) != f->text.len)
		return NULL;
	return &f->text;
}

/* len lower-case hexadecimal digits. */
static bool is_hex(const char *s, size_t len) {
	return strspn(s, HEX) >= len;
}

static bool is_id(const char *s, size_t len) {
	return is_hex(s, len) && strspn(s, "0") < len;
}

static bool is_parent(const struct text *t) {
	const char *s = t->data;

	if (t->len < PARENT_LENGTH || s[2] != '-' || s[35] != '-' || s[52] != '-')
		return false;
	if (!is_hex(s, 2) || memcmp(s, "ff", 2) == 0 || !is_id(s + 3, 32) || !is_id(s + 36, 16) || !is_hex(s + 53, 2))
		return false;
	if (t->len == PARENT_LENGTH)
		return true;
	/* A later version may say more, which nobody can check yet but for what an environment can hold. */
	if (memcmp(s, "00", 2) == 0 || s[PARENT_LENGTH] != '-' || t->len > STATE_MAX)
		return false;
	for (size_t i = PARENT_LENGTH; i < t->len; i++)
		if (s[i] < 0x20 || s[i] > 0x7e)
			return false;
	return true;
}

/* KEY=VALUE, of len bytes. */
static bool is_member(const char *s, size_t len) {
	const char *value = memchr(s, '=', len);
	size_t n = value ? (size_t)(value - s) : 0;

	if (n < 1 || n > KEY_MAX || strspn(s, LOWER DIGITS) == 0 || strspn(s, LOWER DIGITS "_-*/@") < n)
		return false;
	s += n + 1;
	len -= n + 1;
	if (len < 1 || len > VALUE_MAX || s[len - 1] == ' ')
		return false;
	for (size_t i = 0; i < len; i++)
		if (s[i] < 0x20 || s[i] > 0x7e || s[i] == '=')
			return false;
	return true;
}

/* Members between commas, with blanks around them; some may be empty, but not all. */
static bool is_state(const struct text *t) {
	const char *s = t->data;
	size_t members = 0;

	if (t->len > STATE_MAX)
		return false;
	for (;;) {
		size_t len = strcspn(s, ","), blanks = strspn(s, " \t");
		const char *next = s + len;

		if (blanks < len) {
			s += blanks;
			len -= blanks;
			while (s[len - 1] == ' ' || s[len - 1] == '\t')
				len--;
			if (!is_member(s, len) || ++members > MEMBERS_MAX)
				return false;
		}
		if (!*next)
			return members > 0;
		s = next + 1;
	}
}

const struct text *trace_parent(const struct message *m) {
	const struct text *t = find(m, "traceparent");

	return t && is_parent(t) ? t : NULL;
}

const struct text *trace_state(const struct message *m) {
	const struct text *t = trace_parent(m) ? find(m, "tracestate") : NULL;

	return t && is_state(t) ? t : NULL;
}
