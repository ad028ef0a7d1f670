/* SPDX-License-Identifier: MIT */
/* What is wrong only when several keys are looked at together. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
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

/* The member of a group for the line of a problem; the group itself if it has none. */
static const config_setting_t *member_or_group(const config_setting_t *group, const char *name) {
	const config_setting_t *s = setting_member(group, name);

	return s ? s : group;
}

/* Notes that this element of the list has the name of an earlier one. */
static void duplicate(struct reader *r, const config_setting_t *list, const config_setting_t *s, size_t first,
		      const char *what) {
	const config_setting_t *earlier = config_setting_get_elem((config_setting_t *)list, (unsigned)first);
	struct place place = reader_place(r, earlier);
	CLEANUP(strbuf_free) struct strbuf file = STRBUF_INIT;
	size_t mark = reader_enter(r, "name");

	strbuf_append_escaped(&file, place.file, strlen(place.file));
	reader_problem(r, member_or_group(s, "name"), "%s has this name already: %s[%zu], %s:%u", what,
		       config_setting_name(list), first, strbuf_str(&file), place.line);
	reader_leave(r, mark);
}

void check_broker(struct reader *r, const config_setting_t *list, const config_setting_t *s, size_t index) {
	const struct config_broker *brokers = r->config->brokers, *b = &brokers[index];
	CLEANUP(strbuf_free) struct strbuf min = STRBUF_INIT, max = STRBUF_INIT;
	const config_setting_t *reconnect = member_or_group(s, "reconnect");
	size_t mark;

	for (size_t i = 0; b->name && i < index; i++) {
		if (brokers[i].name && strcmp(brokers[i].name, b->name) == 0) {
			duplicate(r, list, s, i, "a broker");
			break;
		}
	}
	if (b->reconnect_min_usec <= b->reconnect_max_usec)
		return;
	units_format_duration(b->reconnect_min_usec, &min);
	units_format_duration(b->reconnect_max_usec, &max);
	mark = reader_enter(r, "reconnect");
	reader_problem(r, reconnect, "expected min_delay to be at most max_delay, found %s and %s", strbuf_str(&min),
		       strbuf_str(&max));
	reader_leave(r, mark);
}

/* Arguments that say again what another key says. `group` is where both are. */
static void check_argument(struct reader *r, const config_setting_t *group, const struct table *arguments,
			   const char *argument, bool given, const char *key) {
	size_t mark;

	if (!given || !table_find(arguments, argument))
		return;
	mark = reader_enter(r, "arguments");
	reader_problem(r, member_or_group(group, "arguments"), "%s is what \"%s\" sets: give one of them", argument,
		       key);
	reader_leave(r, mark);
}

static void check_numbers(struct reader *r, const config_setting_t *s, const struct config_queue *q) {
	size_t mark;

	if (q->prefetch > 0 && q->prefetch < q->concurrency) {
		mark = reader_enter(r, "prefetch");
		reader_warning(r, member_or_group(s, "prefetch"),
			       "%u is less than concurrency (%u): no more than %u handlers will run at once",
			       q->prefetch, q->concurrency, q->prefetch);
		reader_leave(r, mark);
	}
	if (r->config->max_handlers > 0 && q->concurrency > r->config->max_handlers) {
		mark = reader_enter(r, "concurrency");
		reader_warning(r, member_or_group(s, "concurrency"),
			       "%u is more than limits.max_handlers (%u): no more than %u handlers will run at once",
			       q->concurrency, r->config->max_handlers, r->config->max_handlers);
		reader_leave(r, mark);
	}
}

/* Where a key in a group of the queue was given: by the queue itself or among the defaults. NULL: nowhere. */
static const config_setting_t *given(const struct reader *r, const config_setting_t *queue, const char *group,
				     const char *name) {
	const config_setting_t *own = setting_member(setting_member(queue, group), name);

	return own ? own : setting_member(setting_member(r->defaults, group), name);
}

PRINTF_LIKE(5, 6)
static void warn_at(struct reader *r, const config_setting_t *s, const char *group, const char *name,
		    const char *format, ...) {
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;
	size_t mark = reader_enter(r, group);
	va_list args;

	(void)reader_enter(r, name);
	va_start(args, format);
	strbuf_vprintf(&text, format, args);
	va_end(args);
	if (text.failed)
		(void)reader_check(r, -ENOMEM);
	else
		reader_warning(r, s, "%s", strbuf_str(&text));
	reader_leave(r, mark);
}

/* A message is unsettled while its handler runs, and when that has failed as long as it is held. */
static void check_delivery_timeout(struct reader *r, const config_setting_t *s, const struct config_queue *q) {
	const config_setting_t *timeout_at = given(r, s, "handler", "timeout");
	const config_setting_t *delay_at = given(r, s, "requeue", "delay");
	CLEANUP(strbuf_free) struct strbuf timeout = STRBUF_INIT, delay = STRBUF_INIT;

	if (clock_add_usec(q->handler.timeout_usec, q->requeue_delay_usec) < DELIVERY_TIMEOUT)
		return;
	units_format_duration(q->handler.timeout_usec, &timeout);
	units_format_duration(q->requeue_delay_usec, &delay);
	if (timeout_at && (q->handler.timeout_usec >= DELIVERY_TIMEOUT || !delay_at))
		warn_at(r, timeout_at, "handler", "timeout", "%s, and then requeue.delay (%s): " DELIVERY_TIMEOUT_TEXT,
			strbuf_str(&timeout), strbuf_str(&delay));
	else
		warn_at(r, delay_at, "requeue", "delay", "%s, after handler.timeout (%s): " DELIVERY_TIMEOUT_TEXT,
			strbuf_str(&delay), strbuf_str(&timeout));
}

/* The type of the queue, if it is declared with one, in whichever way. */
static const char *declared_type(const struct config_declare *d) {
	const struct field *f = d->type ? NULL : table_find(&d->arguments, ARGUMENT_TYPE);

	return f && f->kind == FIELD_STRING ? f->text.data : d->type;
}

/* Replicated queues and streams are always durable and never deleted automatically. */
static void check_declare(struct reader *r, const config_setting_t *s, const struct config_declare *d) {
	const config_setting_t *durable_at = given(r, s, "declare", "durable");
	const char *type = declared_type(d);

	if (!type || (strcmp(type, "quorum") != 0 && strcmp(type, "stream") != 0))
		return;
	/* What is no boolean has been complained about, and is not false. */
	if (!d->durable && durable_at && config_setting_type(durable_at) == CONFIG_TYPE_BOOL)
		warn_at(r, durable_at, "declare", "durable",
			"false: the broker refuses a queue of type \"%s\" that is not durable", type);
	if (d->auto_delete)
		warn_at(r, given(r, s, "declare", "auto_delete"), "declare", "auto_delete",
			"true: the broker refuses a queue of type \"%s\" that is deleted automatically", type);
}

void check_queue(struct reader *r, const config_setting_t *list, const config_setting_t *s, size_t index) {
	struct config_queue *queues = r->config->queues, *q = &queues[index];
	size_t mark;

	for (size_t i = 0; q->name && i < index; i++) {
		if (queues[i].name && queues[i].broker == q->broker && strcmp(queues[i].name, q->name) == 0) {
			duplicate(r, list, s, i, "a queue of the same broker");
			break;
		}
	}
	check_numbers(r, s, q);
	check_delivery_timeout(r, s, q);
	check_declare(r, s, &q->declare);
	if (q->prefetch == 0)
		q->prefetch = q->concurrency;
	check_argument(r, s, &q->arguments, ARGUMENT_PRIORITY, q->has_priority, "priority");
	mark = reader_enter(r, "declare");
	check_argument(r, member_or_group(s, "declare"), &q->declare.arguments, ARGUMENT_TYPE, q->declare.type != NULL,
		       "type");
	reader_leave(r, mark);
}
