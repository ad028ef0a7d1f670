/* SPDX-License-Identifier: MIT */
#include "delivery/statistics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "base/macro.h"

static const char *const end_names[] = {
	[HANDLER_END_SUCCESS] = "success",   [HANDLER_END_FAILURE] = "failure", [HANDLER_END_SYSEXITS] = "sysexits",
	[HANDLER_END_SIGNAL] = "signal",     [HANDLER_END_TIMEOUT] = "timeout", [HANDLER_END_STOPPED] = "stopped",
	[HANDLER_END_PROTOCOL] = "protocol",
};

static const char *const cause_names[] = {
	[PAUSE_HANDLER] = "handler",
	[PAUSE_BREAKER] = "breaker",
	[PAUSE_OPERATOR] = "operator",
};

#define MSEC USEC_PER_MSEC
#define SEC USEC_PER_SEC

/* From what a worker needs for a small message to a batch job of half an hour. */
const struct histogram_bounds statistics_duration_bounds = {
	.n = 15,
	.usec = {5 * MSEC, 10 * MSEC, 25 * MSEC, 50 * MSEC, 100 * MSEC, 250 * MSEC, 500 * MSEC, SEC, 2500 * MSEC,
		 5 * SEC, 10 * SEC, 30 * SEC, 60 * SEC, 300 * SEC, 1800 * SEC},
};

/* From a second to a week. */
const struct histogram_bounds statistics_age_bounds = {
	.n = 11,
	.usec = {SEC, 2 * SEC, 5 * SEC, 15 * SEC, 60 * SEC, 300 * SEC, 900 * SEC, 3600 * SEC, 14400 * SEC, 86400 * SEC,
		 604800 * SEC},
};

void statistics_add(struct statistics *to, const struct statistics *from) {
	for (size_t i = 0; i < ARRAY_SIZE(to->ends); i++)
		to->ends[i] += from->ends[i];
	to->start_failures += from->start_failures;
	for (size_t i = 0; i < ARRAY_SIZE(to->pauses); i++)
		to->pauses[i] += from->pauses[i];
	histogram_add(&to->duration, &from->duration);
	histogram_add(&to->age, &from->age);
	decay_add(&to->rate, &from->rate);
	decay_add(&to->failure_rate, &from->failure_rate);
}

static enum handler_end classify_status(const struct run_result *result) {
	if (result->status == 0)
		return result->unanswered ? HANDLER_END_PROTOCOL : HANDLER_END_SUCCESS;
	return result->status >= EX__BASE && result->status <= EX__MAX ? HANDLER_END_SYSEXITS : HANDLER_END_FAILURE;
}

bool statistics_classify(const struct run_result *result, enum handler_end *ret) {
	switch (result->end) {
	case RUN_EXITED:
		*ret = result->signaled ? HANDLER_END_SIGNAL : classify_status(result);
		return true;
	case RUN_SIGNALED:
		*ret = HANDLER_END_SIGNAL;
		return true;
	case RUN_TIMEOUT:
		*ret = HANDLER_END_TIMEOUT;
		return true;
	case RUN_STOPPED:
		*ret = HANDLER_END_STOPPED;
		return true;
	case RUN_ANSWERED:
		*ret = result->answer.outcome == OUTCOME_ACK ? HANDLER_END_SUCCESS : HANDLER_END_FAILURE;
		return true;
	case RUN_MISBEHAVED:
		*ret = HANDLER_END_PROTOCOL;
		return true;
	case RUN_UNTRIED:
		break;
	}
	return false;
}

uint64_t statistics_age_usec(uint64_t timestamp, uint64_t realtime_usec) {
	uint64_t then;

	if (__builtin_mul_overflow(timestamp, USEC_PER_SEC, &then) || then >= realtime_usec)
		return 0;
	return realtime_usec - then;
}

void statistics_format_end(const struct run_result *result, char *buf, size_t size) {
	switch (result->end) {
	case RUN_EXITED:
	case RUN_SIGNALED:
		(void)snprintf(buf, size, "%s %d", result->signaled || result->end == RUN_SIGNALED ? "signal" : "exit",
			       result->status);
		break;
	case RUN_TIMEOUT:
		(void)snprintf(buf, size, "timeout");
		break;
	case RUN_STOPPED:
		(void)snprintf(buf, size, "stopped");
		break;
	case RUN_ANSWERED:
		(void)snprintf(buf, size, "answer %s", outcome_to_string(result->answer.outcome));
		break;
	case RUN_MISBEHAVED:
		(void)snprintf(buf, size, "%s", result->problem ? result->problem : "the worker broke the protocol");
		break;
	case RUN_UNTRIED:
		(void)snprintf(buf, size, "untried");
		break;
	}
}

const char *handler_end_to_string(enum handler_end e) {
	return end_names[e];
}

const char *pause_cause_to_string(enum pause_cause c) {
	return cause_names[c];
}

void failure_inherit(struct failure *to, const struct failure *from) {
	if (from->time_usec == 0 || from->time_usec < to->time_usec)
		return;
	failure_clear(to);
	*to = (struct failure){.time_usec = from->time_usec,
			       .how = from->how ? strdup(from->how) : NULL,
			       .message_id = from->message_id ? strdup(from->message_id) : NULL,
			       .decision = from->decision,
			       .text = from->text ? strdup(from->text) : NULL};
}

void failure_clear(struct failure *f) {
	free(f->how);
	free(f->message_id);
	free(f->text);
	*f = (struct failure){0};
}
