/* SPDX-License-Identifier: MIT */
/* What test_metrics.c expects of a whole exposition. */
#pragma once

/* clang-format off */
#define METRICS_GOLDEN \
	"# HELP amqp_execd_build_info 1; the label says which version runs.\n" \
	"# TYPE amqp_execd_build_info gauge\n" \
	"amqp_execd_build_info{version=\"1.2.3\"} 1\n" \
	"# HELP amqp_execd_ready Whether the daemon is ready, as the key ready says.\n" \
	"# TYPE amqp_execd_ready gauge\n" \
	"amqp_execd_ready 1\n" \
	"# HELP amqp_execd_handlers_limit How many handlers may run, of all queues together.\n" \
	"# TYPE amqp_execd_handlers_limit gauge\n" \
	"amqp_execd_handlers_limit 16\n" \
	"# HELP amqp_execd_reloads_total Reloads that have ended.\n" \
	"# TYPE amqp_execd_reloads_total counter\n" \
	"amqp_execd_reloads_total{result=\"success\"} 0\n" \
	"amqp_execd_reloads_total{result=\"failure\"} 0\n" \
	"# HELP amqp_execd_last_reload_successful Whether the last reload was taken; 1 before there was one.\n" \
	"# TYPE amqp_execd_last_reload_successful gauge\n" \
	"amqp_execd_last_reload_successful 1\n" \
	"# HELP amqp_execd_config_loaded_timestamp_seconds When the configuration in force was read.\n" \
	"# TYPE amqp_execd_config_loaded_timestamp_seconds gauge\n" \
	"amqp_execd_config_loaded_timestamp_seconds 1700000001.250000\n" \
	"# HELP amqp_execd_log_lines_dropped_total Log lines that came faster than they could be written.\n" \
	"# TYPE amqp_execd_log_lines_dropped_total counter\n" \
	"amqp_execd_log_lines_dropped_total 9\n" \
	"# HELP amqp_execd_broker_up Whether the connection is up.\n" \
	"# TYPE amqp_execd_broker_up gauge\n" \
	"amqp_execd_broker_up{broker=\"main\",connection=\"consuming\"} 1\n" \
	"amqp_execd_broker_up{broker=\"main\",connection=\"publishing\"} 0\n" \
	"amqp_execd_broker_up{broker=\"backup\",connection=\"consuming\"} 0\n" \
	"# HELP amqp_execd_broker_connects_total How often the connection came up.\n" \
	"# TYPE amqp_execd_broker_connects_total counter\n" \
	"amqp_execd_broker_connects_total{broker=\"main\",connection=\"consuming\"} 2\n" \
	"amqp_execd_broker_connects_total{broker=\"main\",connection=\"publishing\"} 0\n" \
	"amqp_execd_broker_connects_total{broker=\"backup\",connection=\"consuming\"} 0\n" \
	"# HELP amqp_execd_broker_failures_total Attempts to connect that failed, and connections that were lost.\n" \
	"# TYPE amqp_execd_broker_failures_total counter\n" \
	"amqp_execd_broker_failures_total{broker=\"main\",connection=\"consuming\",reason=\"unreachable\"} 0\n" \
	"amqp_execd_broker_failures_total{broker=\"main\",connection=\"consuming\",reason=\"tls\"} 0\n" \
	"amqp_execd_broker_failures_total{broker=\"main\",connection=\"consuming\",reason=\"login\"} 0\n" \
	"amqp_execd_broker_failures_total{broker=\"main\",connection=\"consuming\",reason=\"closed\"} 0\n" \
	"amqp_execd_broker_failures_total{broker=\"main\",connection=\"consuming\",reason=\"heartbeat\"} 0\n" \
	"amqp_execd_broker_failures_total{broker=\"main\",connection=\"consuming\",reason=\"lost\"} 0\n" \
	"amqp_execd_broker_failures_total{broker=\"main\",connection=\"consuming\",reason=\"stuck\"} 0\n" \
	"amqp_execd_broker_failures_total{broker=\"main\",connection=\"consuming\",reason=\"other\"} 0\n" \
	"amqp_execd_broker_failures_total{broker=\"main\",connection=\"publishing\",reason=\"unreachable\"} 0\n" \
	"amqp_execd_broker_failures_total{broker=\"main\",connection=\"publishing\",reason=\"tls\"} 0\n" \
	"amqp_execd_broker_failures_total{broker=\"main\",connection=\"publishing\",reason=\"login\"} 3\n" \
	"amqp_execd_broker_failures_total{broker=\"main\",connection=\"publishing\",reason=\"closed\"} 0\n" \
	"amqp_execd_broker_failures_total{broker=\"main\",connection=\"publishing\",reason=\"heartbeat\"} 0\n" \
	"amqp_execd_broker_failures_total{broker=\"main\",connection=\"publishing\",reason=\"lost\"} 0\n" \
	"amqp_execd_broker_failures_total{broker=\"main\",connection=\"publishing\",reason=\"stuck\"} 0\n" \
	"amqp_execd_broker_failures_total{broker=\"main\",connection=\"publishing\",reason=\"other\"} 0\n" \
	"amqp_execd_broker_failures_total{broker=\"backup\",connection=\"consuming\",reason=\"unreachable\"} 0\n" \
	"amqp_execd_broker_failures_total{broker=\"backup\",connection=\"consuming\",reason=\"tls\"} 0\n" \
	"amqp_execd_broker_failures_total{broker=\"backup\",connection=\"consuming\",reason=\"login\"} 0\n" \
	"amqp_execd_broker_failures_total{broker=\"backup\",connection=\"consuming\",reason=\"closed\"} 0\n" \
	"amqp_execd_broker_failures_total{broker=\"backup\",connection=\"consuming\",reason=\"heartbeat\"} 0\n" \
	"amqp_execd_broker_failures_total{broker=\"backup\",connection=\"consuming\",reason=\"lost\"} 0\n" \
	"amqp_execd_broker_failures_total{broker=\"backup\",connection=\"consuming\",reason=\"stuck\"} 0\n" \
	"amqp_execd_broker_failures_total{broker=\"backup\",connection=\"consuming\",reason=\"other\"} 0\n" \
	"# HELP amqp_execd_broker_blocked Whether the broker takes no publications for now.\n" \
	"# TYPE amqp_execd_broker_blocked gauge\n" \
	"amqp_execd_broker_blocked{broker=\"main\"} 1\n" \
	"amqp_execd_broker_blocked{broker=\"backup\"} 0\n" \
	"# HELP amqp_execd_deliveries_total Messages that the broker has delivered.\n" \
	"# TYPE amqp_execd_deliveries_total counter\n" \
	"amqp_execd_deliveries_total{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\"} 30\n" \
	"# HELP amqp_execd_settlements_total What became of messages; return is of those that were not tried.\n" \
	"# TYPE amqp_execd_settlements_total counter\n" \
	"amqp_execd_settlements_total{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",outcome=\"ack\"} 1\n" \
	"amqp_execd_settlements_total{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",outcome=\"requeue\"} 2\n" \
	"amqp_execd_settlements_total{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",outcome=\"retry\"} 3\n" \
	"amqp_execd_settlements_total{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",outcome=\"reject\"} 4\n" \
	"amqp_execd_settlements_total{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",outcome=\"return\"} 5\n" \
	"# HELP amqp_execd_stale_settlements_total Messages that could not be settled because their channel was gone.\n" \
	"# TYPE amqp_execd_stale_settlements_total counter\n" \
	"amqp_execd_stale_settlements_total{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\"} 6\n" \
	"# HELP amqp_execd_handler_exits_total How the handling of messages has ended.\n" \
	"# TYPE amqp_execd_handler_exits_total counter\n" \
	"amqp_execd_handler_exits_total{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",status=\"success\"} 12\n" \
	"amqp_execd_handler_exits_total{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",status=\"failure\"} 0\n" \
	"amqp_execd_handler_exits_total{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",status=\"sysexits\"} 0\n" \
	"amqp_execd_handler_exits_total{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",status=\"signal\"} 0\n" \
	"amqp_execd_handler_exits_total{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",status=\"timeout\"} 0\n" \
	"amqp_execd_handler_exits_total{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",status=\"stopped\"} 0\n" \
	"amqp_execd_handler_exits_total{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",status=\"protocol\"} 13\n" \
	"# HELP amqp_execd_handler_start_failures_total Handlers and workers that could not be executed.\n" \
	"# TYPE amqp_execd_handler_start_failures_total counter\n" \
	"amqp_execd_handler_start_failures_total{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\"} 4\n" \
	"# HELP amqp_execd_copies_failed_total Copies, replies and forwarded output that were not confirmed, or returned.\n" \
	"# TYPE amqp_execd_copies_failed_total counter\n" \
	"amqp_execd_copies_failed_total{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\"} 7\n" \
	"# HELP amqp_execd_replies_total Replies that were confirmed.\n" \
	"# TYPE amqp_execd_replies_total counter\n" \
	"amqp_execd_replies_total{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\"} 8\n" \
	"# HELP amqp_execd_replies_unroutable_total Replies that nobody was there to get.\n" \
	"# TYPE amqp_execd_replies_unroutable_total counter\n" \
	"amqp_execd_replies_unroutable_total{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\"} 9\n" \
	"# HELP amqp_execd_forwarded_total Output of handlers that was forwarded and confirmed.\n" \
	"# TYPE amqp_execd_forwarded_total counter\n" \
	"amqp_execd_forwarded_total{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\"} 10\n" \
	"# HELP amqp_execd_reused_total Messages that were acknowledged without another run, because a run for an earlier delivery had succeeded.\n" \
	"# TYPE amqp_execd_reused_total counter\n" \
	"amqp_execd_reused_total{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\"} 11\n" \
	"# HELP amqp_execd_pauses_total Pauses that have begun.\n" \
	"# TYPE amqp_execd_pauses_total counter\n" \
	"amqp_execd_pauses_total{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",cause=\"handler\"} 1\n" \
	"amqp_execd_pauses_total{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",cause=\"breaker\"} 0\n" \
	"amqp_execd_pauses_total{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",cause=\"operator\"} 0\n" \
	"# HELP amqp_execd_handler_duration_seconds From the start of a message's handling to its end.\n" \
	"# TYPE amqp_execd_handler_duration_seconds histogram\n" \
	"amqp_execd_handler_duration_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"0.005\"} 1\n" \
	"amqp_execd_handler_duration_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"0.01\"} 1\n" \
	"amqp_execd_handler_duration_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"0.025\"} 1\n" \
	"amqp_execd_handler_duration_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"0.05\"} 1\n" \
	"amqp_execd_handler_duration_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"0.1\"} 1\n" \
	"amqp_execd_handler_duration_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"0.25\"} 1\n" \
	"amqp_execd_handler_duration_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"0.5\"} 1\n" \
	"amqp_execd_handler_duration_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"1\"} 1\n" \
	"amqp_execd_handler_duration_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"2.5\"} 1\n" \
	"amqp_execd_handler_duration_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"5\"} 1\n" \
	"amqp_execd_handler_duration_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"10\"} 1\n" \
	"amqp_execd_handler_duration_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"30\"} 1\n" \
	"amqp_execd_handler_duration_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"60\"} 1\n" \
	"amqp_execd_handler_duration_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"300\"} 1\n" \
	"amqp_execd_handler_duration_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"1800\"} 1\n" \
	"amqp_execd_handler_duration_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"+Inf\"} 2\n" \
	"amqp_execd_handler_duration_seconds_sum{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\"} 7200.005000\n" \
	"amqp_execd_handler_duration_seconds_count{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\"} 2\n" \
	"# HELP amqp_execd_message_age_seconds From a message's timestamp, if it has one, to the start of its handling.\n" \
	"# TYPE amqp_execd_message_age_seconds histogram\n" \
	"amqp_execd_message_age_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"1\"} 1\n" \
	"amqp_execd_message_age_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"2\"} 1\n" \
	"amqp_execd_message_age_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"5\"} 1\n" \
	"amqp_execd_message_age_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"15\"} 1\n" \
	"amqp_execd_message_age_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"60\"} 1\n" \
	"amqp_execd_message_age_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"300\"} 1\n" \
	"amqp_execd_message_age_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"900\"} 1\n" \
	"amqp_execd_message_age_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"3600\"} 1\n" \
	"amqp_execd_message_age_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"14400\"} 1\n" \
	"amqp_execd_message_age_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"86400\"} 1\n" \
	"amqp_execd_message_age_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"604800\"} 1\n" \
	"amqp_execd_message_age_seconds_bucket{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",le=\"+Inf\"} 1\n" \
	"amqp_execd_message_age_seconds_sum{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\"} 0.000000\n" \
	"amqp_execd_message_age_seconds_count{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\"} 1\n" \
	"# HELP amqp_execd_handlers_running Handlers that run.\n" \
	"# TYPE amqp_execd_handlers_running gauge\n" \
	"amqp_execd_handlers_running{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\"} 1\n" \
	"# HELP amqp_execd_handlers_max How many may run, the queue's concurrency.\n" \
	"# TYPE amqp_execd_handlers_max gauge\n" \
	"amqp_execd_handlers_max{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\"} 4\n" \
	"# HELP amqp_execd_prefetch How many messages the broker may deliver before any is settled.\n" \
	"# TYPE amqp_execd_prefetch gauge\n" \
	"amqp_execd_prefetch{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\"} 10\n" \
	"# HELP amqp_execd_messages_waiting Messages in hand that wait for a handler.\n" \
	"# TYPE amqp_execd_messages_waiting gauge\n" \
	"amqp_execd_messages_waiting{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\"} 2\n" \
	"# HELP amqp_execd_messages_held Messages in hand that failed, and are requeued after a delay.\n" \
	"# TYPE amqp_execd_messages_held gauge\n" \
	"amqp_execd_messages_held{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\"} 3\n" \
	"# HELP amqp_execd_messages_publishing Messages in hand that wait for the confirm of what is published for them.\n" \
	"# TYPE amqp_execd_messages_publishing gauge\n" \
	"amqp_execd_messages_publishing{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\"} 4\n" \
	"# HELP amqp_execd_messages_unacknowledged All messages in hand.\n" \
	"# TYPE amqp_execd_messages_unacknowledged gauge\n" \
	"amqp_execd_messages_unacknowledged{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\"} 10\n" \
	"# HELP amqp_execd_oldest_unacknowledged_seconds For how long the oldest message in hand has been there; 0 if there is none.\n" \
	"# TYPE amqp_execd_oldest_unacknowledged_seconds gauge\n" \
	"amqp_execd_oldest_unacknowledged_seconds{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\"} 1.500000\n" \
	"# HELP amqp_execd_queue_state 1 for the state that the queue is in.\n" \
	"# TYPE amqp_execd_queue_state gauge\n" \
	"amqp_execd_queue_state{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",state=\"starting\"} 0\n" \
	"amqp_execd_queue_state{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",state=\"consuming\"} 1\n" \
	"amqp_execd_queue_state{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",state=\"degraded\"} 0\n" \
	"amqp_execd_queue_state{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",state=\"paused\"} 0\n" \
	"amqp_execd_queue_state{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",state=\"probing\"} 0\n" \
	"amqp_execd_queue_state{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",state=\"stopping\"} 0\n" \
	"amqp_execd_queue_state{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",state=\"stopped\"} 0\n" \
	"# HELP amqp_execd_queue_paused Whether the queue is paused, by cause.\n" \
	"# TYPE amqp_execd_queue_paused gauge\n" \
	"amqp_execd_queue_paused{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",cause=\"handler\"} 0\n" \
	"amqp_execd_queue_paused{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",cause=\"breaker\"} 0\n" \
	"amqp_execd_queue_paused{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\",cause=\"operator\"} 0\n" \
	"# HELP amqp_execd_breaker_failures Failures of the handler in a row.\n" \
	"# TYPE amqp_execd_breaker_failures gauge\n" \
	"amqp_execd_breaker_failures{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\"} 5\n" \
	"# HELP amqp_execd_queue_messages_ready Messages in the queue that nobody has been given, as the broker said last; absent if it did not.\n" \
	"# TYPE amqp_execd_queue_messages_ready gauge\n" \
	"amqp_execd_queue_messages_ready{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\"} 18446744073709551615\n" \
	"# HELP amqp_execd_queue_consumers Consumers of the queue, as the broker said last; absent if it did not.\n" \
	"# TYPE amqp_execd_queue_consumers gauge\n" \
	"amqp_execd_queue_consumers{broker=\"main\",queue=\"a \\\"quoted\\\\queue\\nwith lines\"} 0\n" \
	"# HELP process_cpu_seconds_total Total user and system CPU time spent in seconds.\n" \
	"# TYPE process_cpu_seconds_total counter\n" \
	"process_cpu_seconds_total 1.250000\n" \
	"# HELP process_resident_memory_bytes Resident memory size in bytes.\n" \
	"# TYPE process_resident_memory_bytes gauge\n" \
	"process_resident_memory_bytes 8192\n" \
	"# HELP process_virtual_memory_bytes Virtual memory size in bytes.\n" \
	"# TYPE process_virtual_memory_bytes gauge\n" \
	"process_virtual_memory_bytes 16384\n" \
	"# HELP process_open_fds Number of open file descriptors.\n" \
	"# TYPE process_open_fds gauge\n" \
	"process_open_fds 21\n" \
	"# HELP process_max_fds Maximum number of open file descriptors.\n" \
	"# TYPE process_max_fds gauge\n" \
	"process_max_fds 1024\n" \
	"# HELP process_start_time_seconds Start time of the process since unix epoch in seconds.\n" \
	"# TYPE process_start_time_seconds gauge\n" \
	"process_start_time_seconds 1700000000.500000\n"
/* clang-format on */
