/* SPDX-License-Identifier: MIT */
#include "ctl/filter.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "config/units.h"

struct filter_wish {
	int option;
	const char *text; /* borrowed; of a header: NAME=VALUE */
};

void filter_clear(struct filter *f) {
	free(f->wishes);
	*f = FILTER_INIT;
}

static int add(struct filter *f, int option, const char *text) {
	struct filter_wish *wishes = reallocarray(f->wishes, f->n + 1, sizeof(*wishes));

	if (!wishes)
		return -ENOMEM;
	f->wishes = wishes;
	f->wishes[f->n++] = (struct filter_wish){option, text};
	return 1;
}

static int take_duration(const char *argument, uint64_t *ret, const char **ret_why) {
	uint64_t usec;

	if (units_parse_duration(argument, &usec) < 0 || usec == USEC_INFINITY) {
		*ret_why = "is no duration (\"90s\", \"2h\", \"7d\")";
		return -EINVAL;
	}
	*ret = usec;
	return 1;
}

int filter_take_option(struct filter *f, int option, char *argument, const char **ret_why) {
	int r;

	switch (option) {
	case FILTER_OPTION_OLDER:
		return take_duration(argument, &f->older_usec, ret_why);
	case FILTER_OPTION_NEWER:
		return take_duration(argument, &f->newer_usec, ret_why);
	case FILTER_OPTION_HEADER:
		if (!strchr(argument, '=')) {
			*ret_why = "is not of the form NAME=VALUE";
			return -EINVAL;
		}
		break;
	case FILTER_OPTION_REASON:
	case FILTER_OPTION_ORIGIN:
	case FILTER_OPTION_ID:
		if (!*argument) {
			*ret_why = "is empty";
			return -EINVAL;
		}
		break;
	default:
		return 0;
	}
	r = add(f, option, argument);
	if (r < 0)
		*ret_why = "is too much: out of memory";
	return r;
}

bool filter_is_empty(const struct filter *f) {
	return f->n == 0 && f->older_usec == 0 && f->newer_usec == USEC_INFINITY;
}

static bool is_word(char c) {
	return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

bool filter_has_words(const char *text, size_t len, const char *words) {
	size_t n = strlen(words);

	if (n == 0)
		return true;
	for (size_t i = 0; i + n <= len; i++) {
		if (strncasecmp(text + i, words, n) != 0)
			continue;
		if (i > 0 && is_word(text[i - 1]) && is_word(words[0]))
			continue;
		if (i + n < len && is_word(text[i + n]) && is_word(words[n - 1]))
			continue;
		return true;
	}
	return false;
}

static bool is(const struct text *t, const char *s) {
	return t && t->data && t->len == strlen(s) && memcmp(t->data, s, t->len) == 0;
}

/* The value may have been meant as any type: what it looks like counts. The name may have '=' in it, too. -ENOMEM. */
static int has_header(const struct table *headers, const char *wish) {
	for (size_t i = 0; i < headers->n; i++) {
		CLEANUP(strbuf_free) struct strbuf value = STRBUF_INIT;
		const struct field *f = &headers->fields[i];
		const char *rest;

		if (strlen(wish) <= f->name.len || memcmp(wish, f->name.data, f->name.len) != 0 ||
		    wish[f->name.len] != '=')
			continue;
		rest = wish + f->name.len + 1;
		if (field_format(f, &value) < 0)
			return -ENOMEM;
		if (value.len == strlen(rest) && memcmp(strbuf_str(&value), rest, value.len) == 0)
			return true;
	}
	return false;
}

static int meets(const struct filter_wish *w, const struct message *m, const struct letter *l) {
	switch (w->option) {
	case FILTER_OPTION_HEADER:
		return has_header(&m->properties.headers, w->text);
	case FILTER_OPTION_REASON:
		return l->reason && filter_has_words(l->reason->data, l->reason->len, w->text);
	case FILTER_OPTION_ORIGIN:
		return is(l->queue, w->text);
	default:
		return is(&m->properties.message_id, w->text);
	}
}

/* Of ids, reasons and origins a message has one, so one of those wished is enough. Headers are all wanted. */
static int meets_one(const struct filter *f, int option, const struct message *m, const struct letter *l) {
	bool wished = false;

	for (size_t i = 0; i < f->n; i++) {
		int r;

		if (f->wishes[i].option != option)
			continue;
		wished = true;
		r = meets(&f->wishes[i], m, l);
		if (r < 0 || (option == FILTER_OPTION_HEADER) != (r > 0))
			return r;
	}
	return !wished || option == FILTER_OPTION_HEADER;
}

static bool meets_times(const struct filter *f, uint64_t died_sec, uint64_t now_sec) {
	uint64_t age_usec;

	if (f->older_usec == 0 && f->newer_usec == USEC_INFINITY)
		return true;
	if (died_sec == 0)
		return false;
	age_usec = died_sec >= now_sec ? 0 : (now_sec - died_sec) * USEC_PER_SEC;
	return age_usec >= f->older_usec && age_usec <= f->newer_usec;
}

int filter_match(const struct filter *f, const struct message *m, const struct letter *l, uint64_t now_sec) {
	static const int options[] = {FILTER_OPTION_ID, FILTER_OPTION_REASON, FILTER_OPTION_ORIGIN,
				      FILTER_OPTION_HEADER};

	if (!meets_times(f, letter_time(l, m), now_sec))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		int r = meets_one(f, options[i], m, l);

		if (r <= 0)
			return r;
	}
	return 1;
}
