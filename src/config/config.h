/* SPDX-License-Identifier: MIT */
/* The configuration: a checked, immutable tree, shared by reference count between the main and the broker threads. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "base/macro.h"
#include "message/field.h"

/* When systemd is told READY=1. */
enum config_ready {
	CONFIG_READY_ATTEMPTED, /* each queue consumes, or its first attempt has failed */
	CONFIG_READY_CONSUMING, /* each queue consumes */
	CONFIG_READY_STARTED,	/* at once */
};

struct config_broker {
	char *name;	       /* "default" for the only broker of `broker = {...}` */
	char *host;	       /* from the url: a name, an IPv4 or an IPv6 address without brackets */
	uint16_t port;	       /* from the url; 5672 by default */
	char *vhost;	       /* from the url; "/" by default */
	char *username;	       /* key, else url, else "guest" */
	char *password;	       /* key, else password_file's first line, else url, else "guest"; never logged, dumped or passed on */
	char *connection_name; /* shown by the broker; NULL: made from host and program */
	unsigned heartbeat;    /* seconds; 0: none */
	uint64_t connect_timeout_usec;
	uint64_t reconnect_min_usec;
	uint64_t reconnect_max_usec;
};

struct config_binding {
	char *exchange;
	char *exchange_type; /* NULL: the exchange must exist */
	char **routing_keys; /* NULL-terminated; at least one ("" by default) */
	struct table arguments;
};

struct config_declare {
	bool present; /* false: the queue must exist */
	bool durable;
	bool auto_delete;
	char *type; /* "classic", "quorum", ...: sent as x-queue-type; NULL: the broker's default */
	struct table arguments;
};

struct config_handler {
	char **command;	    /* argv, NULL-terminated; command[0] is an absolute path */
	char **environment; /* "NAME=value", NULL-terminated */
	char *directory;    /* absolute; "/" by default */
	uint64_t timeout_usec;	  /* USEC_INFINITY: none */
	uint64_t kill_grace_usec; /* between SIGTERM and SIGKILL */
};

struct config_queue {
	char *name;
	const struct config_broker *broker; /* borrowed from the same tree */
	unsigned prefetch;		    /* 1 to 65535; concurrency by default */
	unsigned concurrency;
	bool has_priority;
	int priority; /* x-priority of the consumer */
	bool exclusive;
	char *consumer_tag; /* NULL: the broker makes one */
	struct table arguments; /* of basic.consume */
	struct config_declare declare;
	struct config_binding *bindings; /* n_bindings of them */
	size_t n_bindings;
	struct config_handler handler;
	uint64_t requeue_delay_usec;
};

struct config {
	char *path; /* of the file */
	enum config_ready ready;
	uint64_t drain_timeout_usec;
	unsigned max_handlers;
	uint64_t max_message_size;
	struct config_broker *brokers;
	size_t n_brokers;
	struct config_queue *queues;
	size_t n_queues;
};

/* One thing that is wrong with the configuration. */
struct config_problem {
	char *file;   /* owned */
	unsigned line; /* 0 when the problem is the file's as a whole */
	unsigned position; /* line in the whole text with its included files; what the list is sorted by */
	char *key;    /* full path of the key, as "queues[0].handler.timeout"; NULL if none */
	char *text;   /* what is wrong and what was expected, with the closest known key where there is one */
	bool warning; /* true: worth saying, no reason to refuse the file */
};

/* Every problem found, in the order of the file. */
struct config_problems {
	struct config_problem *items; /* owned, n of them */
	size_t n;
	size_t n_errors; /* without the warnings */
};

/* Reads and checks the file. 0: *ret holds one reference (problems may hold warnings). -EINVAL: problems says why.
 * -ENOMEM. `problems` is the caller's, empty before the call, to be cleared with config_problems_clear. (Not
 * config_read: libconfig exports a function of that name.) */
int config_load(const char *path, struct config_problems *problems, struct config **ret);

struct config *config_ref(struct config *c);
/* Drops a reference; the last one frees the tree and wipes the passwords. Thread-safe. NULL-safe, returns NULL. */
struct config *config_unref(struct config *c);
DEFINE_CLEANUP(struct config *, config_unref);

void config_problems_clear(struct config_problems *p);

/* "FILE:LINE: KEY: TEXT" of one problem, as it is printed and logged. -ENOMEM. */
int config_problem_format(const struct config_problem *p, char **ret);

/* Writes the effective configuration in libconfig syntax, defaults filled in, passwords as "********". -EIO. */
int config_dump(const struct config *c, FILE *f);

const char *config_ready_to_string(enum config_ready r);
