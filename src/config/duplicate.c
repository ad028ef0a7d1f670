/* SPDX-License-Identifier: MIT */
#include "config/duplicate.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A name of a group that is still open, or the bracket before the names of one. */
struct entry {
	const char *p;
	size_t len; /* 0: a bracket */
	unsigned line;
};

struct search {
	const char *p; /* next byte */
	unsigned line;
	bool value; /* what comes next is one */
	struct entry *entries;
	size_t n;
	size_t allocated;
};

static int push(struct search *s, size_t len) {
	if (s->n == s->allocated) {
		size_t allocated = s->allocated > 0 ? 2 * s->allocated : 64;
		struct entry *entries = reallocarray(s->entries, allocated, sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		s->entries = entries;
		s->allocated = allocated;
	}
	s->entries[s->n++] = (struct entry){.p = s->p, .len = len, .line = s->line};
	return 0;
}

/* Drops the innermost bracket and the names behind it. */
static void pop(struct search *s) {
	while (s->n > 0 && s->entries[--s->n].len > 0)
		;
}

/* The entry of this name in the innermost group; NULL if there is none, or if what is innermost is no group. *ret_group
 * says which. */
static const struct entry *find(const struct search *s, size_t len, bool *ret_group) {
	const struct entry *found = NULL;
	size_t i = s->n;

	for (; i > 0 && s->entries[i - 1].len > 0; i--)
		if (s->entries[i - 1].len == len && memcmp(s->entries[i - 1].p, s->p, len) == 0)
			found = &s->entries[i - 1];
	*ret_group = i == 0 || *s->entries[i - 1].p == '{';
	return found;
}

static void skip(struct search *s, const char *end) {
	for (; s->p < end; s->p++)
		s->line += *s->p == '\n';
}

static const char *string_end(const char *p) {
	for (p++; *p && *p != '"'; p++)
		if (*p == '\\' && p[1])
			p++;
	return *p ? p + 1 : p;
}

/* Where the comment ends that begins here; NULL if none does. */
static const char *comment_end(const char *p) {
	const char *end;

	if (*p == '#' || strncmp(p, "//", 2) == 0)
		return p + strcspn(p, "\n");
	if (strncmp(p, "/*", 2) != 0)
		return NULL;
	end = strstr(p + 2, "*/");
	return end ? end + 2 : p + strlen(p);
}

static size_t word_length(const char *p) {
	size_t n = 0;

	while (isalnum((unsigned char)p[n]) || (p[n] && strchr("*_-+.", p[n])))
		n++;
	return n;
}

/* Looks at a name, a number or a boolean. 1: it is a duplicate. */
static int see_word(struct search *s, size_t len, struct duplicate *ret) {
	bool group;
	const struct entry *first = find(s, len, &group);
	int r;

	if (group && !s->value && first) {
		*ret = (struct duplicate){.name = s->p, .len = len, .line = s->line, .first_line = first->line};
		return 1;
	}
	if (group && !s->value) {
		r = push(s, len);
		if (r < 0)
			return r;
	}
	s->value = false;
	skip(s, s->p + len);
	return 0;
}

/* Looks at what is neither a word nor blank nor a comment. */
static int see_mark(struct search *s) {
	char c = *s->p;
	int r = 0;

	if (c == '"') {
		skip(s, string_end(s->p));
	} else {
		if (strchr("{[(", c))
			r = push(s, 0);
		else if (strchr("}])", c))
			pop(s);
		skip(s, s->p + 1);
	}
	s->value = c == '=' || c == ':';
	return r;
}

int duplicate_find(const char *text, struct duplicate *ret) {
	struct search s = {.p = text, .line = 1};
	int r = 0;

	while (r == 0 && *s.p) {
		const char *end = comment_end(s.p);
		size_t len = word_length(s.p);

		if (end)
			skip(&s, end);
		else if (isspace((unsigned char)*s.p))
			skip(&s, s.p + 1);
		else if (len > 0)
			r = see_word(&s, len, ret);
		else
			r = see_mark(&s);
	}
	free(s.entries);
	return r < 0 ? r : r > 0 ? 0 : -ENOENT;
}
