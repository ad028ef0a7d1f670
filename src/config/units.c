/* SPDX-License-Identifier: MIT */
#include "config/units.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/clock.h"
#include "base/macro.h"
#include "base/strbuf.h"

#define USEC_PER_HOUR (60 * USEC_PER_MINUTE)
#define USEC_PER_DAY (24 * USEC_PER_HOUR)
#define USEC_PER_WEEK (7 * USEC_PER_DAY)
#define USEC_PER_MONTH (UINT64_C(2629800) * USEC_PER_SEC) /* a twelfth of a year, as in systemd.time(7) */
#define USEC_PER_YEAR (UINT64_C(31557600) * USEC_PER_SEC)

static const struct {
	const char *name;
	uint64_t usec;
} duration_units[] = {
	{"seconds", USEC_PER_SEC},
	{"second", USEC_PER_SEC},
	{"sec", USEC_PER_SEC},
	{"s", USEC_PER_SEC},
	{"minutes", USEC_PER_MINUTE},
	{"minute", USEC_PER_MINUTE},
	{"min", USEC_PER_MINUTE},
	{"m", USEC_PER_MINUTE},
	{"hours", USEC_PER_HOUR},
	{"hour", USEC_PER_HOUR},
	{"hr", USEC_PER_HOUR},
	{"h", USEC_PER_HOUR},
	{"days", USEC_PER_DAY},
	{"day", USEC_PER_DAY},
	{"d", USEC_PER_DAY},
	{"weeks", USEC_PER_WEEK},
	{"week", USEC_PER_WEEK},
	{"w", USEC_PER_WEEK},
	{"months", USEC_PER_MONTH},
	{"month", USEC_PER_MONTH},
	{"M", USEC_PER_MONTH},
	{"years", USEC_PER_YEAR},
	{"year", USEC_PER_YEAR},
	{"y", USEC_PER_YEAR},
	{"msec", USEC_PER_MSEC},
	{"ms", USEC_PER_MSEC},
	{"usec", 1},
	{"us", 1},
	{"\xc2\xb5s", 1}, /* micro sign */
	{"\xce\xbcs", 1}, /* Greek small letter mu */
};

/* What a duration is written in, largest first. Months and years are not: they hide how many days they have. */
static const struct {
	const char *name;
	uint64_t usec;
} duration_format[] = {
	{"w", USEC_PER_WEEK},  {"d", USEC_PER_DAY}, {"h", USEC_PER_HOUR}, {"min", USEC_PER_MINUTE}, {"s", USEC_PER_SEC},
	{"ms", USEC_PER_MSEC}, {"us", 1},
};

static const char size_suffixes[] = "KMGT";

static bool is_digit(char c) {
	return c >= '0' && c <= '9';
}

static bool is_space(char c) {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *skip_space(const char *s) {
	while (is_space(*s))
		s++;
	return s;
}

/* The unit at s (0 if there is none of that name), and where it ends. */
static uint64_t duration_unit(const char *s, const char **ret_end) {
	size_t n = 0;

	while (s[n] && !is_digit(s[n]) && !is_space(s[n]) && s[n] != '.' && s[n] != '-' && s[n] != '+')
		n++;
	*ret_end = s + n;
	if (n == 0)
		return USEC_PER_SEC;
	for (size_t i = 0; i < ARRAY_SIZE(duration_units); i++)
		if (strlen(duration_units[i].name) == n && memcmp(duration_units[i].name, s, n) == 0)
			return duration_units[i].usec;
	return 0;
}

/* Reads "NUMBER[.FRACTION] [UNIT]" at s and adds it to *total. `overflow` is remembered rather than returned, so that a
 * long string that is no duration is called one of those. */
static int add_duration(const char **s, uint64_t *total, bool *overflow) {
	const char *p = *s, *fraction = NULL;
	size_t n_fraction = 0;
	uint64_t number = 0, unit, part;

	if (!is_digit(*p) && !(*p == '.' && is_digit(p[1])))
		return -EINVAL;
	for (; is_digit(*p); p++)
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(*p - '0'), &number))
			*overflow = true;
	if (*p == '.') {
		fraction = ++p;
		for (; is_digit(*p); p++)
			n_fraction++;
		if (n_fraction == 0)
			return -EINVAL;
	}
	unit = duration_unit(skip_space(p), &p);
	if (unit == 0)
		return -EINVAL;
	if (__builtin_mul_overflow(number, unit, &number) || __builtin_add_overflow(*total, number, total))
		*overflow = true;
	/* Digit by digit, in integers, so that "0.1s" is exact and no number of digits is too many. */
	part = unit;
	for (size_t i = 0; i < n_fraction && part > 0; i++) {
		if (__builtin_add_overflow(*total, part * (uint64_t)(fraction[i] - '0') / 10, total))
			*overflow = true;
		part /= 10;
	}
	*s = p;
	return 0;
}

int units_parse_duration(const char *s, uint64_t *ret_usec) {
	uint64_t total = 0;
	bool overflow = false, negative = false;
	int r;

	s = skip_space(s);
	if (strncmp(s, "infinity", 8) == 0 && *skip_space(s + 8) == '\0') {
		*ret_usec = USEC_INFINITY;
		return 0;
	}
	if (*s == '-' || *s == '+')
		negative = *s++ == '-';
	do {
		r = add_duration(&s, &total, &overflow);
		if (r < 0)
			return r;
		s = skip_space(s);
	} while (*s);
	if (overflow || total == USEC_INFINITY || (negative && total > 0))
		return -ERANGE;
	*ret_usec = total;
	return 0;
}

int units_duration_from_seconds(int64_t seconds, uint64_t *ret_usec) {
	uint64_t usec;

	if (seconds < 0 || __builtin_mul_overflow((uint64_t)seconds, USEC_PER_SEC, &usec) || usec == USEC_INFINITY)
		return -ERANGE;
	*ret_usec = usec;
	return 0;
}

int units_duration_from_float(double seconds, uint64_t *ret_usec) {
	double usec = round(seconds * (double)USEC_PER_SEC);

	/* 2^64 as a double; written so that NaN fails too. */
	if (!(usec >= 0 && usec < 0x1p64))
		return -ERANGE;
	*ret_usec = (uint64_t)usec;
	return 0;
}

int units_parse_size(const char *s, uint64_t *ret_bytes) {
	const char *suffix;
	uint64_t bytes = 0;
	bool overflow = false;

	s = skip_space(s);
	if (!is_digit(*s))
		return -EINVAL;
	for (; is_digit(*s); s++)
		if (__builtin_mul_overflow(bytes, 10, &bytes) ||
		    __builtin_add_overflow(bytes, (uint64_t)(*s - '0'), &bytes))
			overflow = true;
	s = skip_space(s);
	suffix = *s ? strchr(size_suffixes, *s) : NULL;
	if (suffix) {
		if (__builtin_mul_overflow(bytes, UINT64_C(1) << (10 * (suffix - size_suffixes + 1)), &bytes))
			overflow = true;
		s = skip_space(s + 1);
	}
	if (*s)
		return -EINVAL;
	if (overflow)
		return -ERANGE;
	*ret_bytes = bytes;
	return 0;
}

void units_format_duration(uint64_t usec, struct strbuf *b) {
	const char *space = "";

	if (usec == USEC_INFINITY) {
		strbuf_append_str(b, "infinity");
		return;
	}
	if (usec == 0) {
		strbuf_append_str(b, "0s");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(duration_format); i++) {
		uint64_t n = usec / duration_format[i].usec;

		if (n == 0)
			continue;
		strbuf_printf(b, "%s%" PRIu64 "%s", space, n, duration_format[i].name);
		usec -= n * duration_format[i].usec;
		space = " ";
	}
}

void units_format_size(uint64_t bytes, struct strbuf *b) {
	size_t power = 0;

	while (bytes > 0 && bytes % 1024 == 0 && size_suffixes[power]) {
		bytes /= 1024;
		power++;
	}
	strbuf_printf(b, "%" PRIu64, bytes);
	if (power > 0)
		strbuf_append_char(b, size_suffixes[power - 1]);
}
