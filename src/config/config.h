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

/* How the daemon proves to a broker who it is. */
enum config_auth {
	CONFIG_AUTH_PLAIN,    /* user name and password */
	CONFIG_AUTH_EXTERNAL, /* the client certificate (SASL EXTERNAL) */
};

enum config_tls_version {
	CONFIG_TLS_1_2,
	CONFIG_TLS_1_3,
};

/* For the amqps:// addresses of a broker. */
struct config_tls {
	char *ca_file;	    /* certificates to trust, PEM; NULL: those that the system trusts */
	char *cert_file;    /* our certificate, with its chain, PEM; NULL: none */
	char *key_file;	    /* its private key, PEM; NULL: in cert_file */
	char *key_password_file;
	char *key_password; /* its first line; NULL: the key is not encrypted; a secret like password */
	bool verify;	    /* check the broker's certificate and the name in it */
	char *server_name;  /* the name to expect there and to ask for (SNI); NULL: the host of the address */
	enum config_tls_version min_version;
};

/* One of the places where a broker can be reached: a node of a cluster, for example. */
struct config_address {
	char *host;	/* a name, an IPv4 or an IPv6 address without brackets */
	uint16_t port;	/* 5672 by default, with TLS 5671 */
	char *vhost;	/* "/" by default */
	char *username; /* key, else this url, else "guest" */
	char *password; /* key, file or credential, else this url, else "guest"; never logged, dumped or passed on */
	bool tls;	/* amqps:// */
};

struct config_broker {
	char *name;	       /* "default" for the only broker of `broker = {...}` */
	struct config_address *addresses; /* n_addresses of them, at least one; tried in turn */
	size_t n_addresses;
	enum config_auth auth;
	struct config_tls tls;
	uint64_t confirm_timeout_usec; /* how long a published message may wait for its confirm */
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

/* How handlers meet messages. */
enum config_mode {
	CONFIG_MODE_EXEC,   /* a process for each message */
	CONFIG_MODE_WORKER, /* long-lived processes, one message after the other */
};

/* What a handler's stdin is; not in worker mode, which has a form of its own. */
enum config_input {
	CONFIG_INPUT_BODY,
	CONFIG_INPUT_JSON,	    /* an object with the metadata and the body */
	CONFIG_INPUT_NONE,	    /* empty */
	CONFIG_INPUT_ARGUMENT,	    /* empty; the body is the last argument, in base64 */
	CONFIG_INPUT_ARGUMENT_JSON, /* empty; likewise an object with metadata and body */
};

/* How a handler is told about its message. */
enum config_metadata {
	CONFIG_METADATA_ENV,  /* variables */
	CONFIG_METADATA_FD3,  /* an object in JSON on descriptor 3 */
	CONFIG_METADATA_BOTH,
	CONFIG_METADATA_NONE,
};

/* What becomes of a handler's stdout and stderr. */
enum config_output {
	CONFIG_OUTPUT_LOG,     /* logged line by line */
	CONFIG_OUTPUT_INHERIT, /* the daemon's own stdout and stderr */
	CONFIG_OUTPUT_DISCARD, /* thrown away, but for the last lines of stderr, which say why a message failed */
};

/* What becomes of processes that a handler leaves behind when it ends. */
enum config_descendants {
	CONFIG_DESCENDANTS_KILL,
	CONFIG_DESCENDANTS_LEAVE,
};

/* Resource limits of each process of a handler (setrlimit(2)); without its flag one is the daemon's own. */
struct config_rlimits {
	bool has_memory, has_cpu, has_files, has_processes, has_file_size, has_core;
	uint64_t memory;    /* RLIMIT_AS, bytes */
	unsigned cpu;	    /* RLIMIT_CPU, seconds */
	unsigned files;	    /* RLIMIT_NOFILE */
	unsigned processes; /* RLIMIT_NPROC, of the whole user */
	uint64_t file_size; /* RLIMIT_FSIZE, bytes */
	uint64_t core;	    /* RLIMIT_CORE, bytes */
};

struct config_handler {
	char **command; /* argv, NULL-terminated; command[0] is an absolute path; the others are templates (message/template.h) */
	enum config_mode mode;
	unsigned max_messages; /* a worker is replaced after so many; 0: never */
	enum config_input input;
	bool compress; /* the argument: zlib before base64 */
	enum config_metadata metadata;
	char *path;	    /* PATH; never NULL in a configuration that was read; NULL elsewhere: none */
	char **environment; /* "NAME=value", NULL-terminated */
	char *directory;    /* absolute; "/" by default */
	char *user;	    /* name or number; NULL: the daemon's, who is not root then */
	char *group;	    /* likewise; NULL: the user's */
	bool has_umask;
	unsigned umask;
	bool has_nice;
	int nice;
	struct config_rlimits limits;
	bool protect_secrets;	  /* keep it from reading what the daemon's passwords and keys are in */
	uint64_t timeout_usec;	  /* USEC_INFINITY: none; of a worker, for each message */
	uint64_t kill_grace_usec; /* between SIGTERM and SIGKILL */
	enum config_descendants descendants;
	enum config_output output;
	uint64_t max_output; /* bytes of stdout that can be published: for reply and forward */
};

/* What becomes of a message after a run of its handler. */
enum outcome {
	OUTCOME_ACK,	 /* basic.ack */
	OUTCOME_REQUEUE, /* held, then basic.reject with requeue */
	OUTCOME_RETRY,	 /* a copy to a delay queue, then basic.ack */
	OUTCOME_REJECT,	 /* a copy to the dead letters, then basic.ack; without them, basic.reject without requeue */
};

/* A set of exit statuses, 0 to 255. */
struct config_statuses {
	uint64_t bits[4]; /* status n is bit n % 64 of bits[n / 64] */
};

static inline bool config_statuses_has(const struct config_statuses *s, int status) {
	return status >= 0 && status <= 255 && (s->bits[status / 64] >> (status % 64) & 1);
}

/* What becomes of a message that no handler can get: its body is larger than limits.max_message_size, or its arguments cannot be passed. */
enum config_too_large {
	CONFIG_TOO_LARGE_REQUEUE, /* as after a failed handler */
	CONFIG_TOO_LARGE_REJECT,  /* to the dead letters, or, as there is no body to copy, basic.reject without requeue */
};

/* From the end of a run to an outcome. A status is in at most one of the sets. */
struct config_outcomes {
	struct config_statuses ack;
	struct config_statuses requeue;
	struct config_statuses retry;
	struct config_statuses reject;
	enum outcome otherwise;	 /* exit statuses in no set */
	enum outcome on_timeout; /* `otherwise` by default, but never OUTCOME_ACK */
	enum outcome on_signal;	 /* likewise */
	enum config_too_large on_too_large;
	enum outcome on_large_output; /* stdout is more than handler.max_output; likewise */
};

/* The type of the delay queues. */
enum config_queue_type {
	CONFIG_QUEUE_CLASSIC,
	CONFIG_QUEUE_QUORUM,
};

/* Attempt n + 1 comes delay * multiplier^(n - 1) after attempt n, at most max_delay. */
struct config_retry {
	uint64_t delay_usec;
	double multiplier; /* 1 or more */
	uint64_t max_delay_usec;
	double jitter;	       /* 0 to 1: up to this part of a delay is taken off at random */
	unsigned max_attempts; /* after so many attempts: reject; 0: never */
	enum config_queue_type queue_type;
};

struct config_dead_letter {
	bool present;
	char *exchange;	   /* "": the default exchange */
	char *routing_key; /* NULL: that of the message */
};

/* Pauses a queue whose handler fails again and again. */
struct config_breaker {
	unsigned failures; /* in a row; 0: never */
	uint64_t cooldown_usec;
};

/* How often handlers may be started (or workers given a message): no more than so many within any span of `per_usec`. */
struct config_rate {
	unsigned messages; /* 0: no limit */
	uint64_t per_usec;
};

/* Publishes what a handler wrote to stdout to the message's reply_to. */
struct config_reply {
	bool present;
	char *content_type;	 /* NULL: none */
	bool errors;		 /* say so there, too, when the message is rejected */
	enum outcome unroutable; /* what becomes of the message if nobody is there to get the reply */
};

/* Publishes what a handler wrote to stdout to an exchange. */
struct config_forward {
	bool present;
	char *exchange;	   /* template; "": the default exchange */
	char *routing_key; /* template */
	char *content_type; /* NULL: none */
};

/* Values that a queue has unless it gives its own, for handlers that were written for another consumer. */
enum config_compat {
	CONFIG_COMPAT_NONE,
	CONFIG_COMPAT_CLI_CONSUMER,	   /* rabbitmq-cli-consumer */
	CONFIG_COMPAT_CLI_CONSUMER_STRICT, /* with --strict-exit-code */
};

/* Results of handlers whose messages could not be settled any more, kept in case the same message comes again. */
struct config_results {
	unsigned keep; /* at most so many; 0: none */
	uint64_t max_age_usec;
};

struct config_queue {
	char *name;
	const struct config_broker *broker; /* borrowed from the same tree */
	unsigned prefetch;		    /* 1 to 65535; by default concurrency, at most max_handlers */
	unsigned concurrency;
	bool has_priority;
	int priority; /* x-priority of the consumer */
	bool exclusive;
	char *consumer_tag; /* NULL: the broker makes one */
	struct table arguments; /* of basic.consume */
	struct config_declare declare;
	struct config_binding *bindings; /* n_bindings of them */
	size_t n_bindings;
	enum config_compat compat;
	struct config_handler handler;
	struct config_outcomes outcomes;
	uint64_t requeue_delay_usec;
	uint64_t requeue_max_delay_usec;
	struct config_retry retry;
	struct config_dead_letter dead_letter;
	struct config_breaker breaker;
	struct config_results results;
	struct config_rate rate;
	struct config_reply reply;
	struct config_forward forward;
};

/* Who may tell the daemon what to do, and where: amqp-execctl. */
struct config_control {
	char *socket;    /* its path: absolute, at most 107 bytes; "": there is none */
	bool has_socket; /* it was given, and is no default */
	char *group;     /* who may use it; name or number; NULL: the daemon's */
};

/* An address to listen at. */
struct config_listen {
	char *host; /* an IPv4 address, an IPv6 address without brackets, "localhost", or "*": all addresses */
	uint16_t port;
};

/* What monitoring programs can ask. */
struct config_monitor {
	struct config_listen *listen; /* n_listen of them; none by default */
	size_t n_listen;
	uint64_t queue_interval_usec; /* how often brokers are asked how deep each queue is; 0: never */
};

struct config {
	char *path;          /* of the file */
	char *include_dir;   /* the folder of further files; NULL: none */
	size_t n_drop_ins;   /* how many files of it were read */
	char **secret_files; /* what the passwords and private keys were read from, or are to be; n_secret_files of them */
	size_t n_secret_files;
	enum config_ready ready;
	uint64_t drain_timeout_usec;
	unsigned max_handlers;
	uint64_t max_message_size;
	struct config_control control;
	struct config_monitor monitor;
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

struct privileges;

/* Reads and checks the file. 0: *ret holds one reference (problems may hold warnings). -EINVAL: problems says why.
 * -ENOMEM, or another -errno if this process could not look at its privileges. `problems` is the caller's, empty before the call, to be cleared with config_problems_clear. (Not
 * config_read: libconfig exports a function of that name.) */
int config_load(const char *path, struct config_problems *problems, struct config **ret);

/* The same for one who asks about the file, and does not run by it: where there is no $CREDENTIALS_DIRECTORY, as only
 * the service has one, each credential is a warning. Its secret is not known then. */
int config_examine(const char *path, struct config_problems *problems, struct config **ret);

/* The same for a process with these privileges. */
int config_load_for(const char *path, const struct privileges *privileges, struct config_problems *problems,
		    struct config **ret);

/* A configuration of one broker, at this URL, and everything else at its default, which needs no file and has no queues. -ENOMEM.
 * -EINVAL: *ret_why (static) says what is wrong with the URL. */
int config_from_url(const char *url, const char **ret_why, struct config **ret);

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
const char *outcome_to_string(enum outcome o);

/* Whether a run can have this outcome: by an exit status, a timeout or a signal. */
bool outcome_is_possible(const struct config_outcomes *o, enum outcome outcome);

/* Whether a message of the queue can have this outcome, in whichever way: as above, by a worker's answer, or for what the handler
 * wrote. */
bool config_queue_can(const struct config_queue *q, enum outcome outcome);

/* Whether something is ever published for the queue: its messages again (retry is an outcome of its, or it has dead letters), or
 * what its handlers write. */
bool config_queue_publishes(const struct config_queue *q);

/* Whether two configurations say the same of a broker or a queue: all effective values, secrets by what was read from
 * their files. Files that are read when a connection is made (certificates, keys) count by their names, and a queue's
 * broker by its own. */
bool config_broker_is_same(const struct config_broker *a, const struct config_broker *b);
bool config_queue_is_same(const struct config_queue *a, const struct config_queue *b);
