/* SPDX-License-Identifier: MIT */
/* The daemon at one moment, filled in by the manager: what the status text, the control socket and the metrics tell is
 * made from it. Every pointer is borrowed, for the duration of the call that gets the snapshot. Times are those of the
 * wall clock, in microseconds since 1970. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "delivery/queue.h"

/* One connection, since the start. */
struct snapshot_connection {
	uint64_t connects; /* logins that were complete */
	uint64_t failures[BROKER_FAILURES]; /* by enum broker_failure: attempts that failed, and connections that were lost */
};

/* One broker, with its connections. */
struct snapshot_broker {
	const char *name;
	const char *host; /* where it is, or was tried last */
	uint16_t port;
	const char *state;  /* of the connection that consumes: "connecting", "up", "waiting", "stopped" */
	const char *reason; /* why it is not up; NULL if it is */
	struct snapshot_connection consuming; /* that connection */
	bool has_publisher; /* there is a second connection, that publishes; without it the rest says nothing */
	const char *publishing_state; /* of that one */
	const char *publishing_reason;
	struct snapshot_connection publishing;
	bool blocked; /* the broker takes no publications for now */
};

struct snapshot_queue {
	const char *name;
	const char *broker;
	bool leaving; /* of an earlier configuration: takes nothing new, and goes when its last message is settled */
	bool paused_by_operator; /* by `amqp-execctl pause` or `drain` */
	struct queue_view view;
	unsigned prefetch;
	unsigned concurrency;
	bool depth_known; /* by the broker's last answer; without it the next two say nothing */
	uint64_t messages_ready; /* that no consumer has */
	uint64_t consumers; /* of anybody */
	double rate;	      /* messages a second whose handling has ended, see decay.h */
	double failure_rate;  /* those among them that were not to be acknowledged */
	uint64_t oldest_usec; /* how long the oldest message in hand has been there; 0: there is none */
};

struct snapshot {
	const char *version;
	pid_t pid;
	const char *state; /* "starting", "running", "stopping" */
	bool ready;        /* systemd was told READY=1 */
	uint64_t started_usec;
	const char *config_path;
	uint64_t config_loaded_usec; /* when the configuration that is in force was read */
	uint64_t last_reload_usec;   /* when it was last asked for another one; 0: never. Without it the next two say
					nothing */
	bool last_reload_ok;
	const char *last_reload_reason; /* why it failed; NULL if it did not */
	uint64_t reloads_taken;	     /* that have ended with another configuration in force */
	uint64_t reloads_failed;     /* that have not */
	uint64_t log_lines_dropped;
	unsigned max_handlers;
	unsigned running; /* handlers, of all queues */
	const struct snapshot_broker *brokers;
	size_t n_brokers;
	const struct snapshot_queue *queues; /* in the order of the configuration; then those that leave */
	size_t n_queues;
};
