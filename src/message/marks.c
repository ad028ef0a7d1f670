/* SPDX-License-Identifier: MIT */
#include "message/marks.h"

#include <string.h>

bool marks_is_named(const struct field *f, const char *name) {
	return f->name.len == strlen(name) && memcmp(f->name.data, name, f->name.len) == 0;
}

bool marks_is_local(const struct field *f) {
	static const char *const names[] = {
		HEADER_DEATH, HEADER_DELIVERY_COUNT, "x-acquired-count", "x-stream-offset", "CC", "BCC"};
	static const char *const prefixes[] = {"x-first-death-", "x-last-death-"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (marks_is_named(f, names[i]))
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (f->name.len > strlen(prefixes[i]) && memcmp(f->name.data, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

bool marks_is_history(const struct field *f) {
	static const char *const names[] = {
		HEADER_ATTEMPTS,    HEADER_QUEUE,       HEADER_FIRST_FAILURE, HEADER_LAST_FAILURE,
		HEADER_EXCHANGE,    HEADER_ROUTING_KEY, HEADER_HOST,          HEADER_REASON,
		HEADER_EXIT_STATUS, HEADER_SIGNAL,      HEADER_STDERR,
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (marks_is_named(f, names[i]))
			return true;
	return false;
}
