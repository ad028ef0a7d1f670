/* SPDX-License-Identifier: MIT */
/* What `compat` makes of keys that the file does not give. */
#include "config/check.h"
#include "config/statuses.h"

/* The statuses that sets which the file gives have: they go before those of a preset, one by one. */
static struct config_statuses given_statuses(const struct reader *r, const config_setting_t *s,
					     const struct config_outcomes *o) {
	const struct {
		const char *name;
		const struct config_statuses *statuses;
	} sets[] = {{"ack", &o->ack}, {"requeue", &o->requeue}, {"retry", &o->retry}, {"reject", &o->reject}};
	struct config_statuses given = {0};

	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		for (size_t j = 0; j < ARRAY_SIZE(given.bits) && check_given(r, s, "outcomes", sets[i].name); j++)
			given.bits[j] |= sets[i].statuses->bits[j];
	return given;
}

static void add_unless_given(struct config_statuses *set, unsigned status, const struct config_statuses *given) {
	if (!config_statuses_has(given, (int)status))
		statuses_add(set, status, status);
}

/* Reject and negative acknowledgement are two methods of AMQP for the same, each with and without requeue. */
static void fill_strict(const struct reader *r, const config_setting_t *s, struct config_outcomes *o) {
	const struct config_statuses given = given_statuses(r, s, o);

	if (!check_given(r, s, "outcomes", "reject")) {
		add_unless_given(&o->reject, 3, &given);
		add_unless_given(&o->reject, 5, &given);
	}
	if (!check_given(r, s, "outcomes", "requeue")) {
		add_unless_given(&o->requeue, 4, &given);
		add_unless_given(&o->requeue, 6, &given);
	}
}

void check_compat(struct reader *r, const config_setting_t *s, struct config_queue *q) {
	if (q->compat == CONFIG_COMPAT_NONE)
		return;
	if (!check_given(r, s, "handler", "metadata"))
		q->handler.metadata = CONFIG_METADATA_FD3;
	if (q->compat == CONFIG_COMPAT_CLI_CONSUMER_STRICT)
		fill_strict(r, s, &q->outcomes);
}
