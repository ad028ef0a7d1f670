/* SPDX-License-Identifier: MIT */
#include "handler/worker_answer.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"

static const char *const words[] = {
	[OUTCOME_ACK] = "ack",
	[OUTCOME_REQUEUE] = "requeue",
	[OUTCOME_RETRY] = "retry",
	[OUTCOME_REJECT] = "reject",
};

static bool is_digit(char c) {
	return c >= '0' && c <= '9';
}

/* More than can be counted is the most that can be. */
static uint64_t add_digit(uint64_t n, char c) {
	uint64_t digit = (uint64_t)(c - '0');

	return n > (USEC_INFINITY - 1 - digit) / 10 ? USEC_INFINITY - 1 : n * 10 + digit;
}

/* Digits below a microsecond count as one more, so that the delay is never shorter than what was asked for. */
static int parse_seconds(const char *s, size_t len, uint64_t *ret_usec) {
	uint64_t usec = 0, seconds = 0, unit = USEC_PER_SEC;
	bool more = false;
	size_t i = 0, start;

	for (; i < len && is_digit(s[i]); i++)
		seconds = add_digit(seconds, s[i]);
	if (i == 0)
		return -EINVAL;
	if (i < len && s[i] == '.') {
		start = ++i;
		for (; i < len && is_digit(s[i]); i++) {
			unit /= 10;
			usec += unit * (uint64_t)(s[i] - '0');
			more = more || (unit == 0 && s[i] != '0');
		}
		if (i == start)
			return -EINVAL;
	}
	if (i < len)
		return -EINVAL;
	usec += more;
	*ret_usec = seconds > (USEC_INFINITY - 1 - usec) / USEC_PER_SEC ? USEC_INFINITY - 1 : seconds * USEC_PER_SEC + usec;
	return 0;
}

/* What follows the word, without the blanks before and after it. */
static int parse_rest(const char *rest, size_t len, struct worker_answer *a) {
	while (len > 0 && *rest == ' ') {
		rest++;
		len--;
	}
	while (len > 0 && rest[len - 1] == ' ')
		len--;
	if (len == 0)
		return 0;
	if (a->outcome == OUTCOME_RETRY) {
		a->has_delay = true;
		return parse_seconds(rest, len, &a->delay_usec);
	}
	if (a->outcome != OUTCOME_REJECT)
		return -EINVAL;
	a->reason = rest;
	a->reason_len = len < WORKER_REASON_MAX ? len : WORKER_REASON_MAX;
	return 0;
}

int worker_answer_parse(const char *line, size_t len, struct worker_answer *ret) {
	struct worker_answer a = {0};
	int r;

	if (len > 0 && line[len - 1] == '\r')
		len--;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t n = strlen(words[i]);

		if (len < n || memcmp(line, words[i], n) != 0 || (len > n && line[n] != ' '))
			continue;
		a.outcome = (enum outcome)i;
		r = parse_rest(line + n, len - n, &a);
		if (r == 0)
			*ret = a;
		return r;
	}
	return -EINVAL;
}
