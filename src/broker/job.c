/* SPDX-License-Identifier: MIT */
#include "broker/job.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int job_new(struct job **ret) {
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	list_init(&j->node);
	*ret = j;
	return 0;
}

struct job *job_free(struct job *j) {
	if (j) {
		message_free(j->message);
		free(j->exchange);
		free(j->routing_key);
		free(j->delay_target);
		free(j->reason);
		free(j);
	}
	return NULL;
}

void job_load(struct job *j, struct publication *p) {
	j->publication = p;
	j->lane = p->lane;
	j->message = TAKE(p->message);
	j->exchange = TAKE(p->exchange);
	j->routing_key = TAKE(p->routing_key);
	j->delay_usec = p->delay_usec;
	j->delay_type = p->delay_type;
	j->delay_target = TAKE(p->delay_target);
}

void job_unload(struct job *j, struct publication *p) {
	p->message = TAKE(j->message);
	p->exchange = TAKE(j->exchange);
	p->routing_key = TAKE(j->routing_key);
	p->delay_target = TAKE(j->delay_target);
	p->result = j->result;
	free(p->reason);
	p->reason = TAKE(j->reason);
}

void job_finish(struct job *j, struct outbox *o, enum publish_result result, const char *format, ...) {
	va_list args;

	j->result = result;
	va_start(args, format);
	if (result != PUBLISH_CONFIRMED && vasprintf(&j->reason, format, args) < 0)
		j->reason = NULL;
	va_end(args);
	outbox_post_job(o, j);
}
