/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdlib.h>

#include "base/strbuf.h"
#include "ctl/replay.h"
#include "ctl/text.h"

void replay_result_clear(struct replay_result *r) {
	for (size_t i = 0; i < r->n_destinations; i++)
		free(r->destinations[i].name);
	*r = (struct replay_result){0};
}

static void tell_destinations(const struct replay_result *r, struct strbuf *b) {
	const char *separator = ":";

	for (size_t i = 0; i < r->n_destinations; i++) {
		if (r->destinations[i].n == 0)
			continue;
		strbuf_printf(b, "%s %" PRIu64 " to %s", separator, r->destinations[i].n, r->destinations[i].name);
		separator = ",";
	}
}

void replay_tell(const struct replay_result *r, bool dry_run, struct strbuf *b) {
	uint64_t rest = r->there - r->taken + r->beyond;

	strbuf_printf(b, "%s%s%" PRIu64 " message%s", r->interrupted ? "interrupted; " : "",
		      dry_run ? "would replay " : "replayed ", r->done, text_plural(r->done));
	tell_destinations(r, b);
	strbuf_append_char(b, '\n');
	if (r->other > 0)
		strbuf_printf(b, "left: %" PRIu64 " that %s not meant\n", r->other, r->other == 1 ? "is" : "are");
	if (r->failed > 0)
		strbuf_printf(b, "left: %" PRIu64 " that cannot be replayed\n", r->failed);
	if (rest > 0)
		strbuf_printf(b, "left: %" PRIu64 " that %s not looked at\n", rest, rest == 1 ? "was" : "were");
	if (r->unknown > 0)
		strbuf_printf(b,
			      "%" PRIu64 " message%s may be in both queues now: published, but there was no answer\n",
			      r->unknown, text_plural(r->unknown));
}
