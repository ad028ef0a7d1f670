/* SPDX-License-Identifier: MIT */
#include "service/metrics.h"

#include <string.h>

#include "base/clock.h"
#include "base/macro.h"
#include "service/metrics_queue.h"

struct family;

/* What is being written. */
struct writer {
	struct strbuf *b; /* borrowed, like the others */
	const struct snapshot *snapshot;
	const struct process_figures *process;
	const struct metrics_queues *queues;
};

/* A metric. */
struct family {
	const char *name;
	const char *type;
	const char *help;
	/* Writes its samples. */
	void (*write)(const struct writer *w, const struct family *f);
	/* Of a queue's: where in struct metrics_queue it is; n_values numbers of it in a row, which the label `label`
	 * tells apart by `value`, or one if there is none. */
	size_t offset;
	const char *label;
	const char *(*value)(size_t i);
	size_t n_values;
};

/* --- queues ------------------------------------------------------------------------------------------------------ */

static const char *settlement_name(size_t i) {
	return settlement_to_string((enum settlement)i);
}

static const char *end_name(size_t i) {
	return handler_end_to_string((enum handler_end)i);
}

static const char *cause_name(size_t i) {
	return pause_cause_to_string((enum pause_cause)i);
}

static const char *state_name(size_t i) {
	return queue_state_to_string((enum queue_state)i);
}

static const void *value_of(const struct writer *w, const struct family *f, size_t i) {
	return (const char *)&w->queues->items[i] + f->offset;
}

static void write_count(const struct writer *w, const struct family *f) {
	for (size_t i = 0; i < w->queues->n; i++)
		exposition_count(w->b, f->name, metrics_queue_labels(w->queues, i), NULL, NULL,
				 *(const uint64_t *)value_of(w, f, i));
}

static void write_counts(const struct writer *w, const struct family *f) {
	for (size_t i = 0; i < w->queues->n; i++) {
		const char *labels = metrics_queue_labels(w->queues, i);
		const uint64_t *values = value_of(w, f, i);

		for (size_t k = 0; k < f->n_values; k++)
			exposition_count(w->b, f->name, labels, f->label, f->value(k), values[k]);
	}
}

static void write_usec(const struct writer *w, const struct family *f) {
	for (size_t i = 0; i < w->queues->n; i++)
		exposition_seconds(w->b, f->name, metrics_queue_labels(w->queues, i),
				   (double)*(const uint64_t *)value_of(w, f, i) / (double)USEC_PER_SEC);
}

static void write_durations(const struct writer *w, const struct family *f) {
	for (size_t i = 0; i < w->queues->n; i++)
		exposition_histogram(w->b, f->name, metrics_queue_labels(w->queues, i), &statistics_duration_bounds,
				     value_of(w, f, i));
}

static void write_ages(const struct writer *w, const struct family *f) {
	for (size_t i = 0; i < w->queues->n; i++)
		exposition_histogram(w->b, f->name, metrics_queue_labels(w->queues, i), &statistics_age_bounds,
				     value_of(w, f, i));
}

static void write_messages_ready(const struct writer *w, const struct family *f) {
	for (size_t i = 0; i < w->queues->n; i++)
		if (w->queues->items[i].queue->depth_known)
			exposition_count(w->b, f->name, metrics_queue_labels(w->queues, i), NULL, NULL,
					 w->queues->items[i].queue->messages_ready);
}

static void write_consumers(const struct writer *w, const struct family *f) {
	for (size_t i = 0; i < w->queues->n; i++)
		if (w->queues->items[i].queue->depth_known)
			exposition_count(w->b, f->name, metrics_queue_labels(w->queues, i), NULL, NULL,
					 w->queues->items[i].queue->consumers);
}

/* --- brokers ----------------------------------------------------------------------------------------------------- */

/* One of a broker's connections. */
struct line {
	const char *labels; /* broker="...",connection="..." */
	const char *state;
	const struct snapshot_connection *connection;
};

static void write_lines(const struct writer *w, const struct family *f,
			void (*write)(const struct writer *w, const struct family *f, const struct line *l)) {
	for (size_t i = 0; i < w->snapshot->n_brokers; i++) {
		const struct snapshot_broker *broker = &w->snapshot->brokers[i];
		CLEANUP(strbuf_free) struct strbuf consuming = STRBUF_INIT, publishing = STRBUF_INIT;

		exposition_label(&consuming, "broker", broker->name);
		exposition_label(&consuming, "connection", "consuming");
		exposition_label(&publishing, "broker", broker->name);
		exposition_label(&publishing, "connection", "publishing");
		w->b->failed |= consuming.failed || publishing.failed;
		write(w, f, &(struct line){strbuf_str(&consuming), broker->state, &broker->consuming});
		if (broker->has_publisher)
			write(w, f,
			      &(struct line){strbuf_str(&publishing), broker->publishing_state, &broker->publishing});
	}
}

static void write_line_up(const struct writer *w, const struct family *f, const struct line *l) {
	exposition_count(w->b, f->name, l->labels, NULL, NULL, strcmp(l->state, "up") == 0);
}

static void write_up(const struct writer *w, const struct family *f) {
	write_lines(w, f, write_line_up);
}

static void write_line_connects(const struct writer *w, const struct family *f, const struct line *l) {
	exposition_count(w->b, f->name, l->labels, NULL, NULL, l->connection->connects);
}

static void write_connects(const struct writer *w, const struct family *f) {
	write_lines(w, f, write_line_connects);
}

static void write_line_failures(const struct writer *w, const struct family *f, const struct line *l) {
	for (size_t i = 0; i < BROKER_FAILURES; i++)
		exposition_count(w->b, f->name, l->labels, "reason", broker_failure_to_string((enum broker_failure)i),
				 l->connection->failures[i]);
}

static void write_broker_failures(const struct writer *w, const struct family *f) {
	write_lines(w, f, write_line_failures);
}

static void write_blocked(const struct writer *w, const struct family *f) {
	for (size_t i = 0; i < w->snapshot->n_brokers; i++) {
		CLEANUP(strbuf_free) struct strbuf labels = STRBUF_INIT;

		exposition_label(&labels, "broker", w->snapshot->brokers[i].name);
		w->b->failed |= labels.failed;
		exposition_count(w->b, f->name, strbuf_str(&labels), NULL, NULL, w->snapshot->brokers[i].blocked);
	}
}

/* --- the daemon -------------------------------------------------------------------------------------------------- */

static void write_one(const struct writer *w, const struct family *f, uint64_t n) {
	exposition_count(w->b, f->name, "", NULL, NULL, n);
}

static void write_build_info(const struct writer *w, const struct family *f) {
	CLEANUP(strbuf_free) struct strbuf labels = STRBUF_INIT;

	exposition_label(&labels, "version", w->snapshot->version);
	w->b->failed |= labels.failed;
	exposition_count(w->b, f->name, strbuf_str(&labels), NULL, NULL, 1);
}

static void write_ready(const struct writer *w, const struct family *f) {
	write_one(w, f, w->snapshot->ready);
}

static void write_handlers_limit(const struct writer *w, const struct family *f) {
	write_one(w, f, w->snapshot->max_handlers);
}

static void write_reloads(const struct writer *w, const struct family *f) {
	exposition_count(w->b, f->name, "", "result", "success", w->snapshot->reloads_taken);
	exposition_count(w->b, f->name, "", "result", "failure", w->snapshot->reloads_failed);
}

static void write_last_reload(const struct writer *w, const struct family *f) {
	write_one(w, f, w->snapshot->last_reload_usec == 0 || w->snapshot->last_reload_ok);
}

static void write_config_loaded(const struct writer *w, const struct family *f) {
	exposition_seconds(w->b, f->name, "", (double)w->snapshot->config_loaded_usec / (double)USEC_PER_SEC);
}

static void write_log_lines_dropped(const struct writer *w, const struct family *f) {
	write_one(w, f, w->snapshot->log_lines_dropped);
}

/* --- the process ------------------------------------------------------------------------------------------------- */

static void write_cpu(const struct writer *w, const struct family *f) {
	if (w->process->has_times)
		exposition_seconds(w->b, f->name, "", w->process->cpu_seconds);
}

static void write_resident(const struct writer *w, const struct family *f) {
	if (w->process->has_times)
		write_one(w, f, w->process->resident_bytes);
}

static void write_virtual(const struct writer *w, const struct family *f) {
	if (w->process->has_times)
		write_one(w, f, w->process->virtual_bytes);
}

static void write_open_fds(const struct writer *w, const struct family *f) {
	if (w->process->has_open_fds)
		write_one(w, f, w->process->open_fds);
}

static void write_max_fds(const struct writer *w, const struct family *f) {
	if (w->process->has_max_fds)
		write_one(w, f, w->process->max_fds);
}

static void write_started(const struct writer *w, const struct family *f) {
	if (w->process->has_times)
		exposition_seconds(w->b, f->name, "", w->process->started_seconds);
}

/* --- all of them ------------------------------------------------------------------------------------------------- */

#define ALONE .offset = 0
#define AT(member) .offset = offsetof(struct metrics_queue, member)
#define BY(name, function, n) .label = (name), .value = (function), .n_values = (n)

/* Whoever adds one adds it to amqp-execd(8): a test compares them. */
static const struct family families[] = {
	{"amqp_execd_build_info", "gauge", "1; the label says which version runs.", write_build_info, ALONE},
	{"amqp_execd_ready", "gauge", "Whether the daemon is ready, as the key ready says.", write_ready, ALONE},
	{"amqp_execd_handlers_limit", "gauge", "How many handlers may run, of all queues together.",
	 write_handlers_limit, ALONE},
	{"amqp_execd_reloads_total", "counter", "Reloads that have ended.", write_reloads, ALONE},
	{"amqp_execd_last_reload_successful", "gauge", "Whether the last reload was taken; 1 before there was one.",
	 write_last_reload, ALONE},
	{"amqp_execd_config_loaded_timestamp_seconds", "gauge", "When the configuration in force was read.",
	 write_config_loaded, ALONE},
	{"amqp_execd_log_lines_dropped_total", "counter", "Log lines that came faster than they could be written.",
	 write_log_lines_dropped, ALONE},

	{"amqp_execd_broker_up", "gauge", "Whether the connection is up.", write_up, ALONE},
	{"amqp_execd_broker_connects_total", "counter", "How often the connection came up.", write_connects, ALONE},
	{"amqp_execd_broker_failures_total", "counter",
	 "Attempts to connect that failed, and connections that were lost.", write_broker_failures, ALONE},
	{"amqp_execd_broker_blocked", "gauge", "Whether the broker takes no publications for now.", write_blocked,
	 ALONE},

	{"amqp_execd_deliveries_total", "counter", "Messages that the broker has delivered.", write_count,
	 AT(deliveries)},
	{"amqp_execd_settlements_total", "counter", "What became of messages; return is of those that were not tried.",
	 write_counts, AT(settlements), BY("outcome", settlement_name, SETTLEMENTS)},
	{"amqp_execd_stale_settlements_total", "counter",
	 "Messages that could not be settled because their channel was gone.", write_count, AT(stale)},
	{"amqp_execd_handler_exits_total", "counter", "How the handling of messages has ended.", write_counts, AT(ends),
	 BY("status", end_name, HANDLER_ENDS)},
	{"amqp_execd_handler_start_failures_total", "counter", "Handlers and workers that could not be executed.",
	 write_count, AT(start_failures)},
	{"amqp_execd_copies_failed_total", "counter",
	 "Copies, replies and forwarded output that were not confirmed, or returned.", write_count, AT(copies_failed)},
	{"amqp_execd_replies_total", "counter", "Replies that were confirmed.", write_count, AT(replies)},
	{"amqp_execd_replies_unroutable_total", "counter", "Replies that nobody was there to get.", write_count,
	 AT(unroutable)},
	{"amqp_execd_forwarded_total", "counter", "Output of handlers that was forwarded and confirmed.", write_count,
	 AT(forwarded)},
	{"amqp_execd_reused_total", "counter",
	 "Messages that were acknowledged without another run, because a run for an earlier delivery had succeeded.",
	 write_count, AT(reused)},
	{"amqp_execd_pauses_total", "counter", "Pauses that have begun.", write_counts, AT(pauses),
	 BY("cause", cause_name, PAUSE_CAUSES)},

	{"amqp_execd_handler_duration_seconds", "histogram", "From the start of a message's handling to its end.",
	 write_durations, AT(duration)},
	{"amqp_execd_message_age_seconds", "histogram",
	 "From a message's timestamp, if it has one, to the start of its handling.", write_ages, AT(age)},

	{"amqp_execd_handlers_running", "gauge", "Handlers that run.", write_count, AT(running)},
	{"amqp_execd_handlers_max", "gauge", "How many may run, the queue's concurrency.", write_count, AT(max)},
	{"amqp_execd_prefetch", "gauge", "How many messages the broker may deliver before any is settled.", write_count,
	 AT(prefetch)},
	{"amqp_execd_messages_waiting", "gauge", "Messages in hand that wait for a handler.", write_count, AT(waiting)},
	{"amqp_execd_messages_held", "gauge", "Messages in hand that failed, and are requeued after a delay.",
	 write_count, AT(held)},
	{"amqp_execd_messages_publishing", "gauge",
	 "Messages in hand that wait for the confirm of what is published for them.", write_count, AT(publishing)},
	{"amqp_execd_messages_unacknowledged", "gauge", "All messages in hand.", write_count, AT(unacknowledged)},
	{"amqp_execd_oldest_unacknowledged_seconds", "gauge",
	 "For how long the oldest message in hand has been there; 0 if there is none.", write_usec, AT(oldest_usec)},
	{"amqp_execd_queue_state", "gauge", "1 for the state that the queue is in.", write_counts, AT(states),
	 BY("state", state_name, QUEUE_STATES)},
	{"amqp_execd_queue_paused", "gauge", "Whether the queue is paused, by cause.", write_counts, AT(paused),
	 BY("cause", cause_name, PAUSE_CAUSES)},
	{"amqp_execd_breaker_failures", "gauge", "Failures of the handler in a row.", write_count, AT(failures)},
	{"amqp_execd_queue_messages_ready", "gauge",
	 "Messages in the queue that nobody has been given, as the broker said last; absent if it did not.",
	 write_messages_ready, ALONE},
	{"amqp_execd_queue_consumers", "gauge",
	 "Consumers of the queue, as the broker said last; absent if it did not.", write_consumers, ALONE},

	{"process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", write_cpu, ALONE},
	{"process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", write_resident, ALONE},
	{"process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", write_virtual, ALONE},
	{"process_open_fds", "gauge", "Number of open file descriptors.", write_open_fds, ALONE},
	{"process_max_fds", "gauge", "Maximum number of open file descriptors.", write_max_fds, ALONE},
	{"process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.", write_started,
	 ALONE},
};

void metrics_format(const struct snapshot *s, const struct process_figures *process, struct strbuf *b) {
	CLEANUP(metrics_queues_clear) struct metrics_queues queues = {0};
	struct writer w = {.b = b, .snapshot = s, .process = process, .queues = &queues};

	if (metrics_queues_make(s, &queues) < 0) {
		b->failed = true;
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		exposition_family(b, families[i].name, families[i].type, families[i].help);
		families[i].write(&w, &families[i]);
	}
}
