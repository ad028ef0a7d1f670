/* SPDX-License-Identifier: MIT */
#include "service/monitor_json.h"

#include <jansson.h>
#include <string.h>

#include "service/json_text.h"

/* Adds to the reasons; NULL stands for a lack of memory, and stays. */
static json_t *add_reason(json_t *reasons, const char *kind, const char *name, const char *state, const char *reason) {
	json_t *object = json_pack("{s:o, s:o, s:o}", kind, json_text_new(name), "state", json_text_new(state), "reason",
				   json_text_new(reason));

	if (json_array_append_new(reasons, object) == 0)
		return reasons;
	json_decref(reasons);
	return NULL;
}

static bool is_missing(const struct snapshot_queue *q) {
	return !q->leaving && !q->paused_by_operator && q->view.state != QUEUE_CONSUMING;
}

bool monitor_json_ready(const struct snapshot *s, struct strbuf *b) {
	json_t *reasons = json_array();
	size_t n = 0;

	if (strcmp(s->state, "running") != 0) {
		reasons = add_reason(reasons, "daemon", "amqp-execd", s->state, NULL);
		n++;
	}
	for (size_t i = 0; i < s->n_brokers; i++) {
		const struct snapshot_broker *broker = &s->brokers[i];

		if (strcmp(broker->state, "up") == 0)
			continue;
		reasons = add_reason(reasons, "broker", broker->name, broker->state, broker->reason);
		n++;
	}
	for (size_t i = 0; i < s->n_queues; i++) {
		const struct snapshot_queue *q = &s->queues[i];

		if (!is_missing(q))
			continue;
		reasons = add_reason(reasons, "queue", q->name, queue_state_to_string(q->view.state), q->view.reason);
		n++;
	}
	json_text_append(b, json_pack("{s:b, s:o}", "ready", n == 0, "reasons", reasons));
	return n == 0;
}
