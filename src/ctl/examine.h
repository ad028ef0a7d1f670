/* SPDX-License-Identifier: MIT */
/* The parts of "amqp-execctl check": command_check.c takes the orders, examine_load.c reads the configuration,
 * examine_system.c asks the system, examine_capacity.c its limits, examine_broker.c the brokers, and examine_queue.c
 * what there is about a queue. */
#pragma once

#include "config/config.h"
#include "ctl/findings.h"
#include "handler/identity.h"
#include <stdbool.h>

struct inquiry;
struct strbuf;

/* What is checked. */
struct examine {
	const char *path; /* of the configuration */
	const char *user; /* for whom it is judged: the daemon's; NULL: whoever asks */
	/* Only of this broker, and of these names; borrowed. NULL, 0: all. */
	const char *broker;
	char **queues;
	int n_queues;
	struct identity identity; /* of the user */
	struct config *config;    /* a reference */
	bool secrets_unknown;     /* the service has credentials, which are not there */
	struct findings findings;
};

/* Whether the queue is one of those that were asked for; whether the broker has one. */
bool examine_wants(const struct examine *c, const struct config_queue *q);
bool examine_wants_broker(const struct examine *c, const struct config_broker *b);

/* Reads the configuration as the user would, and keeps its warnings as findings. 0; -EINVAL, with the problems for the
 * caller to tell, who clears them in any case; -EPERM: this process cannot be that user; another -errno. */
int examine_load(struct examine *c, struct config_problems *problems);

/* A problem of the configuration as a finding. */
void examine_add_problem(struct findings *f, const struct config_problem *p);

/* Whether the system lets the handlers be executed. */
void examine_system(struct examine *c);

/* --- examine_capacity.c --------------------------------------------------------------------------------------------
 */

/* What there is. UINT64_MAX: no limit, or none that is known. */
struct capacity {
	uint64_t descriptors; /* RLIMIT_NOFILE */
	uint64_t processes;   /* RLIMIT_NPROC */
	uint64_t tasks;       /* pids.max of the control groups */
	uint64_t memory;      /* bytes: memory.max of them, or what the machine has */
};

/* What is needed at most. */
struct demand {
	uint64_t handlers;       /* at once */
	uint64_t users;          /* of those, not of root */
	uint64_t descriptors;    /* of the daemon */
	uint64_t handler_memory; /* by handler.limits.memory; 0: no queue has that */
	uint64_t body_memory;    /* of messages in hand, each as large as it may be */
};

void demand_of(const struct config *config, struct demand *ret);
void capacity_compare(const struct capacity *c, const struct demand *d, struct findings *f);
void examine_capacity(struct examine *c);

/* --- the brokers ------------------------------------------------------------------------------------------------- */

/* All that were asked for, with their queues. */
void examine_brokers(struct examine *c);

/* One queue. `publishing` is another connection, made by the caller when it is called for; NULL: there is none. */
struct examine_asked {
	struct examine *examine;
	struct finding_place place;
	const struct config_queue *queue;
	struct inquiry *inquiry;
	struct inquiry *(*publishing)(void *userdata);
	void *userdata;
};
void examine_queue(const struct examine_asked *a);
/* What its messages and what its handlers write are published to. */
void examine_publishing(const struct examine_asked *a);

/* Adds what came of a question that could not be put, or has got no answer. r: of inquiry.h. */
void examine_unanswered(const struct examine_asked *a, const char *what, const char *subject, int r,
			const char *reason);
