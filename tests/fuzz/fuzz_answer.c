/* SPDX-License-Identifier: MIT */
/* A worker's answer: whatever it writes is one of four words with what may follow, or nothing. */
#include "fuzz.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "handler/worker_answer.h"

/* What it cannot be mistaken for. */
static void expect_word(const char *line, size_t len, const struct worker_answer *a) {
	const char *word = outcome_to_string(a->outcome);

	EXPECT(len >= strlen(word) && memcmp(line, word, strlen(word)) == 0);
	EXPECT(a->outcome == OUTCOME_RETRY || !a->has_delay);
	EXPECT(a->outcome == OUTCOME_REJECT || !a->reason);
	EXPECT(a->delay_usec < USEC_INFINITY && (a->has_delay || a->delay_usec == 0));
}

static void expect_reason(const char *line, size_t len, const struct worker_answer *a) {
	if (!a->reason) {
		EXPECT(a->reason_len == 0);
		return;
	}
	EXPECT(a->reason > line && a->reason + a->reason_len <= line + len);
	EXPECT(a->reason_len > 0 && a->reason_len <= WORKER_REASON_MAX);
	EXPECT(a->reason[0] != ' ');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct worker_answer a = {.outcome = OUTCOME_REQUEUE, .reason = "untouched"};
	/* A copy of exactly that size: a byte beyond it is seen by the sanitizer. */
	char *line = malloc(size > 0 ? size : 1);
	int r;

	EXPECT(line);
	if (size > 0)
		memcpy(line, data, size);
	r = worker_answer_parse(line, size, &a);
	if (r == 0) {
		expect_word(line, size, &a);
		expect_reason(line, size, &a);
	} else {
		EXPECT(r == -EINVAL);
		EXPECT(a.outcome == OUTCOME_REQUEUE && strcmp(a.reason, "untouched") == 0);
	}
	free(line);
	return 0;
}
