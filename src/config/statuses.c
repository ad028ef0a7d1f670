/* SPDX-License-Identifier: MIT */
#include "config/statuses.h"

#include <assert.h>
#include <errno.h>

#include "base/strbuf.h"
#include "config/config.h"

/* Reads digits from *s on, and leaves *s behind them. */
static int parse_status(const char **s, unsigned *ret) {
	unsigned n = 0;

	if (**s < '0' || **s > '9')
		return -EINVAL;
	for (; **s >= '0' && **s <= '9'; (*s)++)
		if (n <= STATUS_MAX)
			n = n * 10 + (unsigned)(**s - '0');
	*ret = n;
	return 0;
}

int statuses_parse(const char *text, struct config_statuses *s) {
	unsigned first, last;
	int r;

	r = parse_status(&text, &first);
	if (r < 0)
		return r;
	last = first;
	if (*text == '-') {
		text++;
		r = parse_status(&text, &last);
		if (r < 0)
			return r;
	}
	if (*text)
		return -EINVAL;
	if (first > STATUS_MAX || last > STATUS_MAX)
		return -ERANGE;
	if (first > last)
		return -EDOM;
	statuses_add(s, first, last);
	return 0;
}

void statuses_add(struct config_statuses *s, unsigned first, unsigned last) {
	assert(first <= last && last <= STATUS_MAX);
	for (unsigned n = first; n <= last; n++)
		s->bits[n / 64] |= UINT64_C(1) << (n % 64);
}

bool statuses_next(const struct config_statuses *s, unsigned from, unsigned *ret_first, unsigned *ret_last) {
	unsigned last;

	while (from <= STATUS_MAX && !config_statuses_has(s, (int)from))
		from++;
	if (from > STATUS_MAX)
		return false;
	last = from;
	while (config_statuses_has(s, (int)last + 1))
		last++;
	*ret_first = from;
	*ret_last = last;
	return true;
}

bool statuses_common(const struct config_statuses *a, const struct config_statuses *b, struct config_statuses *ret) {
	bool any = false;

	for (size_t i = 0; i < ARRAY_SIZE(ret->bits); i++) {
		ret->bits[i] = a->bits[i] & b->bits[i];
		any = any || ret->bits[i];
	}
	return any;
}

void statuses_format(const struct config_statuses *s, struct strbuf *b) {
	const char *comma = "";

	for (unsigned first, last = 0, from = 0; statuses_next(s, from, &first, &last); from = last + 1) {
		strbuf_printf(b, "%s%u", comma, first);
		if (last > first)
			strbuf_printf(b, "-%u", last);
		comma = ", ";
	}
}
