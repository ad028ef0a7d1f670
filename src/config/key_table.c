/* SPDX-License-Identifier: MIT */
/* The rows of the table of keys. */
#include "base/clock.h"
#include "base/macro.h"
#include "config/config.h"
#include "config/keys.h"

#define HOUR (60 * USEC_PER_MINUTE)
#define DAY (24 * HOUR)
#define SHORT_STRING 1, 255 /* what AMQP calls one, and not empty */

const char *const config_ready_names[] = {
	[CONFIG_READY_ATTEMPTED] = "attempted",
	[CONFIG_READY_CONSUMING] = "consuming",
	[CONFIG_READY_STARTED] = "started",
	NULL,
};

const char *const config_outcome_names[] = {
	[OUTCOME_ACK] = "ack",
	[OUTCOME_REQUEUE] = "requeue",
	[OUTCOME_RETRY] = "retry",
	[OUTCOME_REJECT] = "reject",
	NULL,
};

const char *const config_auth_names[] = {
	[CONFIG_AUTH_PLAIN] = "plain",
	[CONFIG_AUTH_EXTERNAL] = "external",
	NULL,
};

const char *const config_tls_version_names[] = {
	[CONFIG_TLS_1_2] = "1.2",
	[CONFIG_TLS_1_3] = "1.3",
	NULL,
};

const char *const config_too_large_names[] = {
	[CONFIG_TOO_LARGE_REQUEUE] = "requeue",
	[CONFIG_TOO_LARGE_REJECT] = "reject",
	NULL,
};

const char *const config_queue_type_names[] = {
	[CONFIG_QUEUE_CLASSIC] = "classic",
	[CONFIG_QUEUE_QUORUM] = "quorum",
	NULL,
};

const char *const config_mode_names[] = {
	[CONFIG_MODE_EXEC] = "exec",
	[CONFIG_MODE_WORKER] = "worker",
	NULL,
};

const char *const config_input_names[] = {
	[CONFIG_INPUT_BODY] = "body",
	[CONFIG_INPUT_JSON] = "json",
	[CONFIG_INPUT_NONE] = "none",
	[CONFIG_INPUT_ARGUMENT] = "argument",
	[CONFIG_INPUT_ARGUMENT_JSON] = "argument-json",
	NULL,
};

const char *const config_metadata_names[] = {
	[CONFIG_METADATA_ENV] = "env",
	[CONFIG_METADATA_FD3] = "fd3",
	[CONFIG_METADATA_BOTH] = "both",
	[CONFIG_METADATA_NONE] = "none",
	NULL,
};

const char *const config_output_names[] = {
	[CONFIG_OUTPUT_LOG] = "log",
	[CONFIG_OUTPUT_INHERIT] = "inherit",
	[CONFIG_OUTPUT_DISCARD] = "discard",
	NULL,
};

const char *const config_descendants_names[] = {
	[CONFIG_DESCENDANTS_KILL] = "kill",
	[CONFIG_DESCENDANTS_LEAVE] = "leave",
	NULL,
};

const char *const config_compat_names[] = {
	[CONFIG_COMPAT_NONE] = "none",
	[CONFIG_COMPAT_CLI_CONSUMER] = "rabbitmq-cli-consumer",
	[CONFIG_COMPAT_CLI_CONSUMER_STRICT] = "rabbitmq-cli-consumer-strict",
	NULL,
};

#define COMMON(section_, name_, type_, help_)                                                                          \
	.section = SECTION_##section_, .name = (name_), .type = KEY_##type_, .help = (help_)

/* A value at struct type_.member_, without a flag that says whether it was given. */
#define AT(type_, member_)                                                                                             \
	.offset = offsetof(struct type_, member_), .present_offset = KEY_NO_OFFSET, .count_offset = KEY_NO_OFFSET

/* Likewise, with such a flag. */
#define AT_FLAG(type_, member_, flag_)                                                                                 \
	.offset = offsetof(struct type_, member_), .present_offset = offsetof(struct type_, flag_),                    \
	.count_offset = KEY_NO_OFFSET

/* An array and its count. */
#define AT_ARRAY(type_, member_, count_)                                                                               \
	.offset = offsetof(struct type_, member_), .present_offset = KEY_NO_OFFSET,                                    \
	.count_offset = offsetof(struct type_, count_)

/* Nothing of its own: the same struct. */
#define NOWHERE .present_offset = KEY_NO_OFFSET, .count_offset = KEY_NO_OFFSET

#define RANGE(...) RANGE_(__VA_ARGS__)
#define RANGE_(min_, max_) .min = (uint64_t)(min_), .max = (uint64_t)(max_)

/* Ends of a handler that are no success. */
#define FAILURE                                                                                                        \
	.names = config_outcome_names, RANGE(OUTCOME_REQUEUE, OUTCOME_REJECT),                                         \
	.fallback_note = "the value of otherwise, but \"requeue\" where that is \"ack\""

const struct key config_keys[] = {
	{COMMON(ROOT, "include_dir", INCLUDE_DIR, "a folder of further files, each with brokers and queues"),
	 AT(config, include_dir)},
	{COMMON(ROOT, "broker", ONE, "the broker that all queues are on"), .child = SECTION_BROKER, .drop_in = true,
	 .fallback_note = "a broker with the defaults of all its keys", AT_ARRAY(config, brokers, n_brokers)},
	{COMMON(ROOT, "brokers", LIST, "several brokers, each with a name, in place of broker"),
	 .child = SECTION_BROKER, .drop_in = true, AT_ARRAY(config, brokers, n_brokers)},
	{COMMON(ROOT, "limits", GROUP, "limits of the daemon as a whole"), .child = SECTION_LIMITS, NOWHERE},
	{COMMON(ROOT, "control", GROUP, "the socket that amqp-execctl talks to the daemon by"),
	 .child = SECTION_CONTROL, AT(config, control)},
	{COMMON(ROOT, "monitor", GROUP, "what monitoring programs can ask over HTTP"), .child = SECTION_MONITOR,
	 AT(config, monitor)},
	{COMMON(ROOT, "ready", ENUM, "when systemd is told that the daemon is ready"), .names = config_ready_names,
	 .fallback = "attempted", AT(config, ready)},
	{COMMON(ROOT, "drain_timeout", DURATION, "how long a stop waits for handlers that run"),
	 RANGE(0, USEC_INFINITY), .fallback = "1min", AT(config, drain_timeout_usec)},
	{COMMON(ROOT, "defaults", DEFAULTS, "values for all queues that do not give their own"), .child = SECTION_QUEUE,
	 NOWHERE},
	{COMMON(ROOT, "queues", LIST, "the queues to consume from, with their handlers"), .child = SECTION_QUEUE,
	 .required = true, .drop_in = true, AT_ARRAY(config, queues, n_queues)},

	{COMMON(BROKER, "name", STRING, "what queues and the log call this broker"), RANGE(SHORT_STRING),
	 .identity = true, .fallback_note = "\"default\" in broker, required in brokers", AT(config_broker, name)},
	{COMMON(BROKER, "url", URL, "where the broker is, and its virtual host"), .fallback = "amqp://localhost",
	 NOWHERE},
	{COMMON(BROKER, "urls", URLS, "several places of one broker (a cluster), tried in turn, in place of url"),
	 RANGE(1, 32), NOWHERE},
	{COMMON(BROKER, "username", USERNAME, "the user to log in as"), RANGE(0, 255), .fallback = "guest",
	 .fallback_note = "the one in the URL, else \"guest\"", NOWHERE},
	{COMMON(BROKER, "password", PASSWORD, "the user's password"), .fallback = "guest",
	 .fallback_note = "the one in the URL, else \"guest\"", NOWHERE},
	{COMMON(BROKER, "password_file", PASSWORD_FILE, "a file whose first line is the password"), NOWHERE},
	{COMMON(BROKER, "credential", CREDENTIAL, "a credential of the service whose first line is the password"),
	 RANGE(1, 255), NOWHERE},
	{COMMON(BROKER, "auth", ENUM, "how to log in: with the password, or with the client certificate"),
	 .names = config_auth_names, .fallback = "plain", AT(config_broker, auth)},
	{COMMON(BROKER, "tls", GROUP, "certificates and checks of amqps:// connections"), .child = SECTION_TLS,
	 AT(config_broker, tls)},
	{COMMON(BROKER, "heartbeat", SECONDS, "the interval of heartbeats; 0: none"), RANGE(0, UINT16_MAX),
	 .fallback = "30", AT(config_broker, heartbeat)},
	{COMMON(BROKER, "connect_timeout", DURATION, "how long connecting and logging in may take"),
	 RANGE(USEC_PER_MSEC, HOUR), .fallback = "10s", AT(config_broker, connect_timeout_usec)},
	{COMMON(BROKER, "confirm_timeout", DURATION, "how long a published message may wait for the broker's confirm"),
	 RANGE(USEC_PER_MSEC, HOUR), .fallback = "30s", AT(config_broker, confirm_timeout_usec)},
	{COMMON(BROKER, "reconnect", GROUP, "the delays between attempts to connect"), .child = SECTION_RECONNECT,
	 NOWHERE},
	{COMMON(BROKER, "connection_name", STRING, "what the broker shows the connection as"), RANGE(SHORT_STRING),
	 .fallback_note = "made of the names of the program and the host", AT(config_broker, connection_name)},

	{COMMON(TLS, "ca_file", FILE, "certificates of the authorities to trust, PEM"),
	 .fallback_note = "those that the system trusts", AT(config_tls, ca_file)},
	{COMMON(TLS, "cert_file", FILE, "the client certificate, with its chain, PEM"), AT(config_tls, cert_file)},
	{COMMON(TLS, "key_file", PRIVATE_FILE, "the private key of cert_file, PEM"), .fallback_note = "cert_file",
	 AT(config_tls, key_file)},
	{COMMON(TLS, "key_password_file", SECRET_FILE, "a file whose first line is the password of the private key"),
	 .fallback_note = "none, so the key is not encrypted", AT(config_tls, key_password_file),
	 .secret_offset = offsetof(struct config_tls, key_password)},
	{COMMON(TLS, "verify", BOOL, "whether to check the broker's certificate and the name in it"),
	 .fallback = "true", AT(config_tls, verify)},
	{COMMON(TLS, "server_name", STRING, "the name that the broker's certificate has to be for"),
	 RANGE(SHORT_STRING), .fallback_note = "the host of the URL", AT(config_tls, server_name)},
	{COMMON(TLS, "min_version", ENUM, "the oldest version of TLS to accept"), .names = config_tls_version_names,
	 .fallback = "1.2", AT(config_tls, min_version)},

	{COMMON(RECONNECT, "min_delay", DURATION, "the delay after a first failure; it doubles with each further one"),
	 RANGE(USEC_PER_MSEC, HOUR), .fallback = "1s", AT(config_broker, reconnect_min_usec)},
	{COMMON(RECONNECT, "max_delay", DURATION, "the longest delay"), RANGE(USEC_PER_MSEC, DAY), .fallback = "30s",
	 AT(config_broker, reconnect_max_usec)},

	{COMMON(LIMITS, "max_handlers", UINT, "how many handlers may run at once, over all queues"),
	 RANGE(1, UINT16_MAX), .fallback = "64", AT(config, max_handlers)},
	{COMMON(LIMITS, "max_message_size", SIZE, "the largest body that is passed to a handler"),
	 RANGE(1, UINT64_C(1) << 40), .fallback = "128M", AT(config, max_message_size)},

	{COMMON(QUEUE, "name", STRING, "the queue's name at the broker"), RANGE(SHORT_STRING), .required = true,
	 .identity = true, AT(config_queue, name)},
	{COMMON(QUEUE, "broker", BROKER, "the broker that the queue is on"), .fallback_note = "the only broker",
	 AT(config_queue, broker)},
	{COMMON(QUEUE, "prefetch", UINT, "how many unsettled messages the broker may send"), RANGE(1, UINT16_MAX),
	 .fallback_note = "concurrency, or limits.max_handlers where that is less", AT(config_queue, prefetch)},
	{COMMON(QUEUE, "concurrency", UINT, "how many of the queue's handlers may run at once"), RANGE(1, UINT16_MAX),
	 .fallback = "1", AT(config_queue, concurrency)},
	{COMMON(QUEUE, "priority", INT, "the consumer's priority (x-priority)"), RANGE((int64_t)INT32_MIN, INT32_MAX),
	 .fallback_note = "none, which counts as 0", AT_FLAG(config_queue, priority, has_priority)},
	{COMMON(QUEUE, "exclusive", BOOL, "whether to refuse to share the queue with other consumers"),
	 .fallback = "false", AT(config_queue, exclusive)},
	{COMMON(QUEUE, "consumer_tag", STRING, "the consumer's tag"), RANGE(SHORT_STRING),
	 .fallback_note = "made by the broker", AT(config_queue, consumer_tag)},
	{COMMON(QUEUE, "arguments", TABLE, "further arguments of basic.consume"), AT(config_queue, arguments)},
	{COMMON(QUEUE, "declare", GROUP, "declares the queue; without it, the queue must exist"),
	 .child = SECTION_DECLARE, AT_FLAG(config_queue, declare, declare.present)},
	{COMMON(QUEUE, "bindings", LIST, "binds the queue to exchanges"), .child = SECTION_BINDING,
	 AT_ARRAY(config_queue, bindings, n_bindings)},
	{COMMON(QUEUE, "compat", ENUM, "what other keys are by default: as for handlers of another consumer"),
	 .names = config_compat_names, .fallback = "none", AT(config_queue, compat)},
	{COMMON(QUEUE, "handler", GROUP, "the process that is run for each message"), .child = SECTION_HANDLER,
	 .required = true, AT(config_queue, handler)},
	{COMMON(QUEUE, "outcomes", GROUP, "what becomes of a message, by how its handler has ended"),
	 .child = SECTION_OUTCOMES, AT(config_queue, outcomes)},
	{COMMON(QUEUE, "requeue", GROUP, "how a message goes back to its queue"), .child = SECTION_REQUEUE, NOWHERE},
	{COMMON(QUEUE, "retry", GROUP, "when and how often a message is tried again"), .child = SECTION_RETRY,
	 AT(config_queue, retry)},
	{COMMON(QUEUE, "dead_letter", GROUP, "where rejected messages are published"), .child = SECTION_DEAD_LETTER,
	 AT_FLAG(config_queue, dead_letter, dead_letter.present)},
	{COMMON(QUEUE, "breaker", GROUP, "pauses the queue when its handler fails again and again"),
	 .child = SECTION_BREAKER, AT(config_queue, breaker)},
	{COMMON(QUEUE, "results", GROUP, "results kept of messages that could not be settled"),
	 .child = SECTION_RESULTS, AT(config_queue, results)},
	{COMMON(QUEUE, "rate", GROUP, "how many messages are handled in a span of time"), .child = SECTION_RATE,
	 AT(config_queue, rate)},
	{COMMON(QUEUE, "reply", GROUP, "publishes what the handler writes to stdout to the message's reply_to"),
	 .child = SECTION_REPLY, .boolean = true, AT_FLAG(config_queue, reply, reply.present)},
	{COMMON(QUEUE, "forward", GROUP, "publishes what the handler writes to stdout to an exchange"),
	 .child = SECTION_FORWARD, AT_FLAG(config_queue, forward, forward.present)},

	{COMMON(DECLARE, "durable", BOOL, "whether the queue outlives a restart of the broker"), .fallback = "true",
	 AT(config_declare, durable)},
	{COMMON(DECLARE, "auto_delete", BOOL, "whether the broker deletes the queue with its last consumer"),
	 .fallback = "false", AT(config_declare, auto_delete)},
	{COMMON(DECLARE, "type", STRING, "the queue's type (x-queue-type)"), RANGE(SHORT_STRING),
	 .fallback_note = "the broker's", AT(config_declare, type)},
	{COMMON(DECLARE, "arguments", TABLE, "further arguments of queue.declare"), AT(config_declare, arguments)},

	{COMMON(BINDING, "exchange", STRING, "the exchange to bind to"), RANGE(SHORT_STRING), .required = true,
	 AT(config_binding, exchange)},
	{COMMON(BINDING, "exchange_type", STRING, "declares the exchange, durable, with this type"),
	 RANGE(SHORT_STRING), .fallback_note = "none, so the exchange must exist", AT(config_binding, exchange_type)},
	{COMMON(BINDING, "routing_keys", STRINGS, "the routing keys to bind with, one binding each"), RANGE(0, 255),
	 .fallback = "", AT(config_binding, routing_keys)},
	{COMMON(BINDING, "arguments", TABLE, "arguments of queue.bind"), AT(config_binding, arguments)},

	{COMMON(HANDLER, "command", COMMAND, "the program and its arguments; no shell is involved"), .required = true,
	 AT(config_handler, command)},
	{COMMON(HANDLER, "mode", ENUM, "a process for each message, or long-lived workers"), .names = config_mode_names,
	 .fallback = "exec", AT(config_handler, mode)},
	{COMMON(HANDLER, "max_messages", UINT, "how many messages a worker handles before it is replaced; 0: no limit"),
	 RANGE(0, 1000000000), .fallback = "0", AT(config_handler, max_messages)},
	{COMMON(HANDLER, "input", ENUM, "what the handler reads from stdin, or gets as its last argument"),
	 .names = config_input_names, .fallback = "body", AT(config_handler, input)},
	{COMMON(HANDLER, "compress", BOOL, "whether the last argument is compressed by zlib before base64"),
	 .fallback = "false", AT(config_handler, compress)},
	{COMMON(HANDLER, "metadata", ENUM, "how the handler is told about its message"),
	 .names = config_metadata_names, .fallback = "env", .fallback_note = "\"env\"; with compat, \"fd3\"",
	 AT(config_handler, metadata)},
	{COMMON(HANDLER, "path", STRING, "PATH in the handler's environment"), RANGE(0, 4096),
	 .fallback = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", AT(config_handler, path)},
	{COMMON(HANDLER, "environment", ENVIRONMENT, "variables added to the handler's environment"),
	 AT(config_handler, environment)},
	{COMMON(HANDLER, "directory", PATH, "the handler's working directory"), .fallback = "/",
	 AT(config_handler, directory)},
	{COMMON(HANDLER, "user", STRING, "the user that the handler runs as, by name or number"), RANGE(1, 255),
	 .fallback_note = "the daemon's; required where that is root", AT(config_handler, user)},
	{COMMON(HANDLER, "group", STRING, "the group that the handler runs as, by name or number"), RANGE(1, 255),
	 .fallback_note = "the user's", AT(config_handler, group)},
	{COMMON(HANDLER, "umask", MODE, "permissions that new files of the handler do not get"), RANGE(0, 0777),
	 .fallback_note = "the daemon's", AT_FLAG(config_handler, umask, has_umask)},
	{COMMON(HANDLER, "nice", INT, "the handler's nice value"), RANGE((int64_t)-20, 19),
	 .fallback_note = "the daemon's", AT_FLAG(config_handler, nice, has_nice)},
	{COMMON(HANDLER, "limits", GROUP, "resource limits of each of the handler's processes"),
	 .child = SECTION_RLIMITS, AT(config_handler, limits)},
	{COMMON(HANDLER, "protect_secrets", BOOL,
		"whether to keep the handler from reading the files that hold the daemon's passwords and keys"),
	 .fallback = "true", AT(config_handler, protect_secrets)},
	{COMMON(HANDLER, "timeout", DURATION, "how long a handler may run"), RANGE(USEC_PER_MSEC, USEC_INFINITY),
	 .fallback = "25min", AT(config_handler, timeout_usec)},
	{COMMON(HANDLER, "kill_grace", DURATION, "the time between SIGTERM and SIGKILL"), RANGE(0, HOUR),
	 .fallback = "10s", AT(config_handler, kill_grace_usec)},
	{COMMON(HANDLER, "descendants", ENUM, "what becomes of processes that the handler leaves behind"),
	 .names = config_descendants_names, .fallback = "kill", AT(config_handler, descendants)},
	{COMMON(HANDLER, "output", ENUM, "what becomes of the handler's stdout and stderr"),
	 .names = config_output_names, .fallback = "log", AT(config_handler, output)},
	{COMMON(HANDLER, "max_output", SIZE, "how much of stdout reply and forward can publish"),
	 RANGE(1, UINT64_C(128) << 20), .fallback = "1M", AT(config_handler, max_output)},

	{COMMON(RLIMITS, "memory", SIZE, "address space"), RANGE(UINT64_C(1) << 20, INT64_MAX),
	 .fallback_note = "the daemon's", AT_FLAG(config_rlimits, memory, has_memory)},
	{COMMON(RLIMITS, "cpu", SECONDS, "processor time"), RANGE(1, INT32_MAX), .fallback_note = "the daemon's",
	 AT_FLAG(config_rlimits, cpu, has_cpu)},
	{COMMON(RLIMITS, "files", UINT, "open descriptors"), RANGE(4, INT32_MAX), .fallback_note = "the daemon's",
	 AT_FLAG(config_rlimits, files, has_files)},
	{COMMON(RLIMITS, "processes", UINT, "processes and threads of the handler's user, all together"),
	 RANGE(1, INT32_MAX), .fallback_note = "the daemon's", AT_FLAG(config_rlimits, processes, has_processes)},
	{COMMON(RLIMITS, "file_size", SIZE, "the size of a file that is written"), RANGE(0, INT64_MAX),
	 .fallback_note = "the daemon's", AT_FLAG(config_rlimits, file_size, has_file_size)},
	{COMMON(RLIMITS, "core", SIZE, "the size of a core dump"), RANGE(0, INT64_MAX),
	 .fallback_note = "the daemon's", AT_FLAG(config_rlimits, core, has_core)},

	{COMMON(OUTCOMES, "ack", STATUSES, "exit statuses that mean success"), .fallback = "0",
	 AT(config_outcomes, ack)},
	{COMMON(OUTCOMES, "requeue", STATUSES, "exit statuses after which the message goes back"),
	 AT(config_outcomes, requeue)},
	{COMMON(OUTCOMES, "retry", STATUSES, "exit statuses after which the message is tried again later"),
	 AT(config_outcomes, retry)},
	{COMMON(OUTCOMES, "reject", STATUSES, "exit statuses after which the message is given up"),
	 AT(config_outcomes, reject)},
	{COMMON(OUTCOMES, "otherwise", ENUM, "what all other exit statuses lead to"), .names = config_outcome_names,
	 .fallback = "requeue", AT(config_outcomes, otherwise)},
	{COMMON(OUTCOMES, "on_timeout", ENUM, "what a handler leads to that was stopped for its timeout"), FAILURE,
	 AT(config_outcomes, on_timeout)},
	{COMMON(OUTCOMES, "on_signal", ENUM, "what a handler leads to that a signal has ended"), FAILURE,
	 AT(config_outcomes, on_signal)},
	{COMMON(OUTCOMES, "on_too_large", ENUM, "what a message that no handler can get leads to"),
	 .names = config_too_large_names, .fallback = "requeue", AT(config_outcomes, on_too_large)},
	{COMMON(OUTCOMES, "on_large_output", ENUM, "what more output than handler.max_output leads to"), FAILURE,
	 AT(config_outcomes, on_large_output)},

	{COMMON(REQUEUE, "delay", DURATION, "how long a message is held after a first failure before it goes back"),
	 RANGE(0, DAY), .fallback = "1s", AT(config_queue, requeue_delay_usec)},
	{COMMON(REQUEUE, "max_delay", DURATION, "the longest time that a message is held"), RANGE(0, DAY),
	 .fallback = "1min", .fallback_note = "\"1min\", or delay where that is longer",
	 AT(config_queue, requeue_max_delay_usec)},

	{COMMON(RETRY, "delay", DURATION, "the time between the first attempt and the second"),
	 RANGE(USEC_PER_MSEC, 30 * DAY), .fallback = "10s", AT(config_retry, delay_usec)},
	{COMMON(RETRY, "multiplier", FLOAT, "what the delay is multiplied by after each further attempt"),
	 RANGE(1, 100), .fallback = "2.0", AT(config_retry, multiplier)},
	{COMMON(RETRY, "max_delay", DURATION, "the longest delay"), RANGE(USEC_PER_MSEC, 30 * DAY), .fallback = "15min",
	 .fallback_note = "\"15min\", or delay where that is longer", AT(config_retry, max_delay_usec)},
	{COMMON(RETRY, "jitter", FLOAT, "the part of a delay of which up to all is taken off at random"), RANGE(0, 1),
	 .fallback = "0.0", AT(config_retry, jitter)},
	{COMMON(RETRY, "max_attempts", UINT, "the number of attempts after which a message is rejected; 0: no limit"),
	 RANGE(0, 1000000), .fallback = "10", AT(config_retry, max_attempts)},
	{COMMON(RETRY, "queue_type", ENUM, "the type of the queues that messages wait in"),
	 .names = config_queue_type_names, .fallback_note = "\"classic\" where declare says that type, else \"quorum\"",
	 AT(config_retry, queue_type)},

	{COMMON(DEAD_LETTER, "exchange", STRING, "the exchange to publish to; \"\": the default exchange"),
	 RANGE(0, 255), .fallback = "", AT(config_dead_letter, exchange)},
	{COMMON(DEAD_LETTER, "routing_key", STRING, "the routing key to publish with"), RANGE(0, 255),
	 .fallback_note = "that of the message", AT(config_dead_letter, routing_key)},

	{COMMON(BREAKER, "failures", UINT, "how many failures in a row pause the queue; 0: none"), RANGE(0, 1000000),
	 .fallback = "0", AT(config_breaker, failures)},
	{COMMON(BREAKER, "cooldown", DURATION, "how long the queue is paused before a message is tried"),
	 RANGE(USEC_PER_MSEC, DAY), .fallback = "30s", AT(config_breaker, cooldown_usec)},

	{COMMON(RESULTS, "keep", UINT, "how many results are kept; 0: none"), RANGE(0, 100000), .fallback = "1000",
	 AT(config_results, keep)},
	{COMMON(RESULTS, "max_age", DURATION, "how long a result is kept"), RANGE(USEC_PER_SEC, 30 * DAY),
	 .fallback = "1h", AT(config_results, max_age_usec)},

	{COMMON(RATE, "messages", UINT, "how many messages may be begun within any span of per; 0: no limit"),
	 RANGE(0, 10000), .fallback = "0", AT(config_rate, messages)},
	{COMMON(RATE, "per", DURATION, "the span of time"), RANGE(USEC_PER_MSEC, DAY), .fallback = "1s",
	 AT(config_rate, per_usec)},

	{COMMON(REPLY, "content_type", STRING, "the reply's content type"), RANGE(SHORT_STRING),
	 .fallback_note = "none", AT(config_reply, content_type)},
	{COMMON(REPLY, "errors", BOOL, "whether a message that is rejected is answered with an error"),
	 .fallback = "false", AT(config_reply, errors)},
	{COMMON(REPLY, "unroutable", ENUM, "what a reply that nobody is there to get leads to"),
	 .names = config_outcome_names, .fallback = "reject", AT(config_reply, unroutable)},

	{COMMON(FORWARD, "exchange", TEMPLATE, "the exchange to publish to; \"\": the default exchange"),
	 RANGE(0, 4096), .fallback = "", AT(config_forward, exchange)},
	{COMMON(FORWARD, "routing_key", TEMPLATE, "the routing key to publish with"), RANGE(0, 4096), .fallback = "",
	 AT(config_forward, routing_key)},
	{COMMON(FORWARD, "content_type", STRING, "the content type of what is published"), RANGE(SHORT_STRING),
	 .fallback_note = "none", AT(config_forward, content_type)},

	{COMMON(CONTROL, "socket", SOCKET, "where the control socket is"), RANGE(0, 107),
	 .fallback_note = "control.sock in $RUNTIME_DIRECTORY, else in /run/amqp-execd",
	 AT_FLAG(config_control, socket, has_socket)},
	{COMMON(CONTROL, "group", STRING, "the group that may use the control socket, by name or number"),
	 RANGE(1, 255), .fallback_note = "the daemon's", AT(config_control, group)},

	{COMMON(MONITOR, "listen", LISTEN, "the addresses to answer at"), RANGE(0, 16),
	 AT_ARRAY(config_monitor, listen, n_listen)},
	{COMMON(MONITOR, "queue_interval", DURATION, "how often brokers are asked how deep each queue is; 0: never"), RANGE(0, DAY),
	 .fallback = "30s", AT(config_monitor, queue_interval_usec)},
};

const size_t config_n_keys = ARRAY_SIZE(config_keys);
