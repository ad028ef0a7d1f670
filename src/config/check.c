/* SPDX-License-Identifier: MIT */
/* What is wrong only when several keys are looked at together. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "config/check.h"
#include "config/reader.h"
#include "config/units.h"

/* Arguments that keys of their own stand for. */
#define ARGUMENT_PRIORITY "x-priority"
#define ARGUMENT_TYPE "x-queue-type"

/* RabbitMQ's consumer_timeout, as long as nobody sets another one. */
#define DELIVERY_TIMEOUT (30 * USEC_PER_MINUTE)
#define DELIVERY_TIMEOUT_TEXT                                                                                          \
	"the broker delivers a message again that is not settled within 30 minutes, unless its consumer_timeout is "   \
	"longer"

void append_broker_names(const struct config *c, struct strbuf *b) {
	const char *comma = "";

	for (size_t i = 0; i < c->n_brokers; i++) {
		if (!c->brokers[i].name)
			continue;
		strbuf_printf(b, "%s\"", comma);
		strbuf_append_escaped(b, c->brokers[i].name, strlen(c->brokers[i].name));
		strbuf_append_char(b, '"');
		comma = ", ";
	}
}

const config_setting_t *check_member_or_group(const config_setting_t *group, const char *name) {
	const config_setting_t *s = setting_member(group, name);

	return s ? s : group;
}

const config_setting_t *check_own(const config_setting_t *element, const char *group, const char *name) {
	const config_setting_t *g = setting_member(element, group);

	return name ? setting_member(g, name) : g;
}

const config_setting_t *check_given(const struct reader *r, const config_setting_t *queue, const char *group,
				    const char *name) {
	const config_setting_t *own = check_own(queue, group, name);

	return own ? own : check_own(r->defaults, group, name);
}

PRINTF_LIKE(6, 0)
static void note_at(struct reader *r, bool warning, const config_setting_t *s, const char *group, const char *name,
		    const char *format, va_list args) {
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;
	size_t mark = reader_enter(r, group);

	if (name)
		(void)reader_enter(r, name);
	strbuf_vprintf(&text, format, args);
	if (text.failed)
		(void)reader_check(r, -ENOMEM);
	else if (warning)
		reader_warning(r, s, "%s", strbuf_str(&text));
	else
		reader_problem(r, s, "%s", strbuf_str(&text));
	reader_leave(r, mark);
}

void check_problem(struct reader *r, const config_setting_t *s, const char *group, const char *name, const char *format,
		   ...) {
	va_list args;

	va_start(args, format);
	note_at(r, false, s, group, name, format, args);
	va_end(args);
}

void check_warning(struct reader *r, const config_setting_t *s, const char *group, const char *name, const char *format,
		   ...) {
	va_list args;

	va_start(args, format);
	note_at(r, true, s, group, name, format, args);
	va_end(args);
}

/* Whether the value is what it would be if it were not given. Of a key whose default depends on others this is not
 * known, and said to be so. */
static bool is_default(const struct key *k, const void *base) {
	union key_value value, fallback;

	if (k->type == KEY_ENUM && !k->fallback)
		return true;
	if (!k->fallback || key_parse(k, k->fallback, &fallback) < 0)
		return false;
	key_load(k, base, &value);
	return memcmp(&value, &fallback, sizeof(value)) == 0;
}

const config_setting_t *check_set(const config_setting_t *group, enum section section, const char *name, const void *base) {
	const config_setting_t *s = setting_member(group, name);

	return s && !is_default(key_find(section, name), base) ? s : NULL;
}

const config_setting_t *check_first_set(const config_setting_t *group, enum section section, const void *base,
					const char **ret_name) {
	for (const struct key *k = key_next(section, NULL); k; k = key_next(section, k)) {
		const config_setting_t *s = check_set(group, section, k->name, base);

		if (s) {
			*ret_name = k->name;
			return s;
		}
	}
	return NULL;
}

void check_order(struct reader *r, const config_setting_t *s, const char *group, const struct check_duration *min,
		 const struct check_duration *max) {
	CLEANUP(strbuf_free) struct strbuf min_text = STRBUF_INIT, max_text = STRBUF_INIT;

	if (min->usec <= max->usec || setting_is_wrong(min->at) || setting_is_wrong(max->at))
		return;
	units_format_duration(min->usec, &min_text);
	units_format_duration(max->usec, &max_text);
	check_problem(r, s, group, NULL, "expected %s to be at most %s, found %s and %s", min->name, max->name,
		      strbuf_str(&min_text), strbuf_str(&max_text));
}

void check_duplicate(struct reader *r, const config_setting_t *s, const config_setting_t *earlier, const char *what) {
	struct place place = reader_place(r, earlier);
	CLEANUP(strbuf_free) struct strbuf where = STRBUF_INIT;
	size_t mark = reader_enter(r, "name");

	/* One that stands alone has a name of its own, an element of a list has a number. */
	if (config_setting_name(earlier))
		strbuf_append_str(&where, config_setting_name(earlier));
	else
		strbuf_printf(&where, "%s[%d]", config_setting_name(config_setting_parent(earlier)),
			      config_setting_index(earlier));
	strbuf_append_str(&where, ", ");
	strbuf_append_escaped(&where, place.file, strlen(place.file));
	reader_problem(r, check_member_or_group(s, "name"), "%s has this name already: %s:%u", what, strbuf_str(&where),
		       place.line);
	reader_leave(r, mark);
}

/* Arguments that say again what another key says. `group` is where both are. */
static void check_argument(struct reader *r, const config_setting_t *group, const struct table *arguments,
			   const char *argument, bool given, const char *key) {
	size_t mark;

	if (!given || !table_find(arguments, argument))
		return;
	mark = reader_enter(r, "arguments");
	reader_problem(r, check_member_or_group(group, "arguments"), "%s is what \"%s\" sets: give one of them",
		       argument, key);
	reader_leave(r, mark);
}

/* More messages than handlers may run at once are only waiting here, and count against a delivery limit. */
static unsigned default_prefetch(const struct reader *r, const struct config_queue *q) {
	return q->concurrency < r->config->max_handlers ? q->concurrency : r->config->max_handlers;
}

static void check_numbers(struct reader *r, const config_setting_t *s, const struct config_queue *q) {
	unsigned places = default_prefetch(r, q);
	size_t mark;

	if (q->prefetch > 0 && q->prefetch < places) {
		mark = reader_enter(r, "prefetch");
		reader_warning(r, check_member_or_group(s, "prefetch"),
			       "%u is less than concurrency (%u): no more than %u handlers will run at once",
			       q->prefetch, q->concurrency, q->prefetch);
		reader_leave(r, mark);
	}
	if (r->config->max_handlers > 0 && q->concurrency > r->config->max_handlers) {
		mark = reader_enter(r, "concurrency");
		reader_warning(r, check_member_or_group(s, "concurrency"),
			       "%u is more than limits.max_handlers (%u): no more than %u handlers will run at once",
			       q->concurrency, r->config->max_handlers, r->config->max_handlers);
		reader_leave(r, mark);
	}
}

void check_delays(struct reader *r, const config_setting_t *s, const char *group, uint64_t delay_usec,
		  uint64_t *max_delay_usec) {
	const config_setting_t *max_at = check_given(r, s, group, "max_delay");
	const struct check_duration min = {"delay", delay_usec, check_given(r, s, group, "delay")};
	struct check_duration max = {"max_delay", *max_delay_usec, max_at};

	if (!max_at && *max_delay_usec < delay_usec)
		max.usec = *max_delay_usec = delay_usec;
	check_order(r, check_given(r, s, group, NULL), group, &min, &max);
}

/* A message is unsettled while its handler runs, and when that has failed as long as it is held. */
static void check_delivery_timeout(struct reader *r, const config_setting_t *s, const struct config_queue *q) {
	/* Doubling a delay of 0 does not make it grow. */
	const uint64_t hold_usec = q->requeue_delay_usec > 0 ? q->requeue_max_delay_usec : 0;
	const config_setting_t *timeout_at = check_given(r, s, "handler", "timeout");
	const config_setting_t *hold_at = check_given(r, s, "requeue", "max_delay");
	/* The longest delay follows the delay where it is not given. */
	const char *hold_key = hold_at && hold_usec > 0 ? "max_delay" : "delay";
	CLEANUP(strbuf_free) struct strbuf timeout = STRBUF_INIT, hold = STRBUF_INIT;

	if (clock_add_usec(q->handler.timeout_usec, hold_usec) < DELIVERY_TIMEOUT)
		return;
	if (!hold_at)
		hold_at = check_given(r, s, "requeue", "delay");
	units_format_duration(q->handler.timeout_usec, &timeout);
	units_format_duration(hold_usec, &hold);
	if (timeout_at && (q->handler.timeout_usec >= DELIVERY_TIMEOUT || !hold_at))
		check_warning(r, timeout_at, "handler", "timeout",
			      "%s, and then requeue.%s (%s): " DELIVERY_TIMEOUT_TEXT, strbuf_str(&timeout),
			      hold_usec > 0 ? "max_delay" : "delay", strbuf_str(&hold));
	else
		check_warning(r, hold_at, "requeue", hold_key, "%s, after handler.timeout (%s): " DELIVERY_TIMEOUT_TEXT,
			      strbuf_str(&hold), strbuf_str(&timeout));
}

/* Messages that wait for their turn are unsettled, too. */
static void check_rate(struct reader *r, const config_setting_t *s, const struct config_queue *q) {
	CLEANUP(strbuf_free) struct strbuf wait = STRBUF_INIT;
	const config_setting_t *first;
	uint64_t wait_usec;
	const char *name;

	if (q->rate.messages == 0) {
		first = check_first_set(setting_member(s, "rate"), SECTION_RATE, &q->rate, &name);
		if (first)
			check_warning(r, first, "rate", name, "has no effect: rate.messages is 0");
		return;
	}
	wait_usec = q->prefetch * q->rate.per_usec / q->rate.messages;
	if (wait_usec < DELIVERY_TIMEOUT)
		return;
	units_format_duration(wait_usec, &wait);
	check_warning(r, check_given(r, s, "rate", "messages"), "rate", "messages",
		      "prefetch (%u) at this rate takes %s: " DELIVERY_TIMEOUT_TEXT, q->prefetch, strbuf_str(&wait));
}

const char *check_declared_type(const struct config_declare *d) {
	const struct field *f = d->type ? NULL : table_find(&d->arguments, ARGUMENT_TYPE);

	return f && f->kind == FIELD_STRING ? f->text.data : d->type;
}

/* Replicated queues and streams are always durable and never deleted automatically. */
static void check_declare(struct reader *r, const config_setting_t *s, const struct config_declare *d) {
	const char *type = check_declared_type(d);

	if (!type || (strcmp(type, "quorum") != 0 && strcmp(type, "stream") != 0))
		return;
	if (!d->durable)
		check_warning(r, check_given(r, s, "declare", "durable"), "declare", "durable",
			      "false: the broker refuses a queue of type \"%s\" that is not durable", type);
	if (d->auto_delete)
		check_warning(r, check_given(r, s, "declare", "auto_delete"), "declare", "auto_delete",
			      "true: the broker refuses a queue of type \"%s\" that is deleted automatically", type);
}

void check_queue(struct reader *r, const config_setting_t *s, size_t index) {
	struct config_queue *queues = r->config->queues, *q = &queues[index];
	size_t mark;

	for (size_t i = 0; q->name && i < index; i++) {
		if (queues[i].name && queues[i].broker == q->broker && strcmp(queues[i].name, q->name) == 0) {
			check_duplicate(r, s, r->elements[i], "a queue of the same broker");
			break;
		}
	}
	check_compat(r, s, q);
	check_numbers(r, s, q);
	check_delays(r, s, "requeue", q->requeue_delay_usec, &q->requeue_max_delay_usec);
	check_delivery_timeout(r, s, q);
	check_declare(r, s, &q->declare);
	check_outcomes(r, s, q);
	check_handler(r, s, q);
	if (q->prefetch == 0)
		q->prefetch = default_prefetch(r, q);
	check_rate(r, s, q);
	check_argument(r, s, &q->arguments, ARGUMENT_PRIORITY, q->has_priority, "priority");
	mark = reader_enter(r, "declare");
	check_argument(r, check_member_or_group(s, "declare"), &q->declare.arguments, ARGUMENT_TYPE,
		       q->declare.type != NULL, "type");
	reader_leave(r, mark);
}
