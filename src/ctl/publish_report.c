/* SPDX-License-Identifier: MIT */
#include "ctl/publish_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "ctl/command.h"
#include "ctl/text.h"

static const char *kind_name(unsigned kind) {
	return kind == PUBLISH_NOT_SENT ? "not sent" : session_result_to_string((enum session_result)kind);
}

static void hide_progress(struct publish_report *r) {
	if (r->shown)
		fprintf(stderr, "\r\033[K");
	r->shown = false;
}

void publish_report_flush(struct publish_report *r) {
	hide_progress(r);
	if (r->first) {
		if (r->first == r->last)
			fprintf(stderr, "message %llu: %s", r->first, kind_name(r->kind));
		else
			fprintf(stderr, "messages %llu to %llu: %s", r->first, r->last, kind_name(r->kind));
		fprintf(stderr, "%s%s\n", r->reason && *r->reason ? ": " : "", r->reason ? r->reason : "");
	}
	free(r->reason);
	r->reason = NULL;
	r->first = r->last = 0;
}

static bool continues(const struct publish_report *r, unsigned long long number, unsigned kind, const char *reason) {
	return r->first && number == r->last + 1 && kind == r->kind && r->reason && strcmp(r->reason, reason) == 0;
}

void publish_report_add(struct publish_report *r, unsigned long long number, const struct text *id, unsigned kind,
			const char *reason) {
	CLEANUP(strbuf_free) struct strbuf shown = STRBUF_INIT;

	r->counts[kind]++;
	if (kind == SESSION_CONFIRMED)
		return;
	if (id && id->data) {
		publish_report_flush(r);
		strbuf_append_value(&shown, id->data, id->len);
		fprintf(stderr, "message %llu (id %s): %s%s%s\n", number, strbuf_str(&shown), kind_name(kind),
			*reason ? ": " : "", reason);
		return;
	}
	if (!continues(r, number, kind, reason)) {
		publish_report_flush(r);
		r->first = number;
		r->kind = kind;
		r->reason = strdup(reason);
	}
	r->last = number;
}

void publish_report_rest(struct publish_report *r, unsigned long long first, long long n) {
	publish_report_flush(r);
	if (n == 0)
		return;
	if (n < 0) {
		fprintf(stderr, "message %llu and all after it: not sent\n", first);
		r->open_end = true;
		return;
	}
	r->counts[PUBLISH_NOT_SENT] += (unsigned long long)n;
	if (n == 1)
		fprintf(stderr, "message %llu: not sent\n", first);
	else
		fprintf(stderr, "messages %llu to %llu: not sent\n", first, first + (unsigned long long)n - 1);
}

void publish_report_progress(struct publish_report *r, size_t in_flight, const char *blocked) {
	unsigned long long missing = publish_report_missing(r);

	if (!r->terminal)
		return;
	fprintf(stderr, "\r\033[K%llu confirmed, %zu on the way", r->counts[SESSION_CONFIRMED], in_flight);
	if (missing > 0)
		fprintf(stderr, ", %llu missing", missing);
	if (blocked)
		fprintf(stderr, "; the broker takes nothing for now: %s", blocked);
	r->shown = true;
}

unsigned long long publish_report_missing(const struct publish_report *r) {
	unsigned long long n = 0;

	for (unsigned kind = 0; kind < PUBLISH_KINDS; kind++)
		n += kind == SESSION_CONFIRMED ? 0 : r->counts[kind];
	return n;
}

int publish_report_end(struct publish_report *r, bool quiet) {
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;
	unsigned long long confirmed = r->counts[SESSION_CONFIRMED], missing = publish_report_missing(r);
	const char *comma = "";

	publish_report_flush(r);
	if (missing == 0 && !r->open_end) {
		if (quiet)
			return 0;
		strbuf_printf(&text, "%llu message%s confirmed\n", confirmed, text_plural(confirmed));
		return command_print(&text);
	}
	for (unsigned kind = 0; kind < PUBLISH_KINDS; kind++) {
		if (r->counts[kind] == 0 || kind == SESSION_CONFIRMED)
			continue;
		strbuf_printf(&text, "%s%llu %s", comma, r->counts[kind], kind_name(kind));
		comma = ", ";
	}
	if (r->open_end)
		strbuf_printf(&text, "%smore not sent", comma);
	command_complain("%llu of %s%llu message%s confirmed; %s", confirmed, r->open_end ? "more than " : "",
			 confirmed + missing, text_plural(confirmed + missing), strbuf_str(&text));
	return EXIT_FAILURE;
}
