/* SPDX-License-Identifier: MIT */
/* Inside of the manager, shared by its parts and nobody else: manager.c starts and runs, manager_uplink.c has the connections,
 * manager_stop.c stops. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "broker/broker.h"
#include "broker/publisher.h"
#include "config/config.h"
#include "delivery/dispatcher.h"
#include "delivery/queue.h"
#include "handler/run.h"
#include "service/systemd.h"

enum manager_state {
	MANAGER_RUNNING,  /* consuming */
	MANAGER_DRAINING, /* takes nothing new, handlers may end in their own time */
	MANAGER_KILLING,  /* drain_timeout is over or a second signal came: handlers are being stopped */
	MANAGER_CLOSING,  /* no handler runs: the connections are being closed */
};

/* What is known of one connection. */
struct line {
	enum broker_state state;
	char *reason; /* owned; why it is not up */
	char **reasons; /* owned, by address of the broker: why it could not be reached last, since it was up; or NULL */
	bool overdue; /* its thread makes no progress; logged */
};

/* A broker's connections. */
struct uplink {
	struct manager *manager; /* borrowed: the owner */
	struct broker *broker;	 /* owned; consumes */
	struct line consuming;
	struct publisher *publisher; /* owned; NULL: nothing is published there */
	struct line publishing;
	bool blocked; /* the broker takes no publications for now */
};

struct manager {
	struct config *config; /* a reference */
	sd_event *event;       /* owned */
	struct systemd *systemd;
	struct executor *executor;
	struct dispatcher dispatcher;
	struct uplink *uplinks; /* one per broker of the configuration */
	struct queue **queues; /* one per queue of the configuration */
	enum manager_state state;
	uint64_t drain_until_usec;
	sd_event_source *drain_timer;  /* owned; end of drain_timeout */
	sd_event_source *extend_timer; /* owned; while stopping */
	sd_event_source *close_timer;  /* owned; nothing runs, but a broker has not confirmed everything */
	sd_event_source *watch_timer;  /* owned; looks whether threads are stuck, where no watchdog does */
	sd_event_source *guard_source; /* owned; the guard is gone */
	sd_event_source *leave_source; /* owned; defers the end of the loop until that was seen to */
	bool ready;
	uint64_t watch_interval_usec;
	bool publishers_stopped; /* told to: what is not confirmed soon will fail */
	bool stopping_queues; /* manager_stop is telling them one by one: no step is due before the last one knows */
};

/* Told to stop: the first time handlers are let end, the second time they are stopped, the third time killed. */
void manager_stop(struct manager *m);

/* Takes the next step of a stop, if one is under way and the step is due. */
void manager_check_stopped(struct manager *m);

/* A connection has reached BROKER_STOPPED: ends the loop when it was the last one. */
void manager_check_closed(struct manager *m);

/* Makes every broker, and its publisher if it needs one. What was made is freed by the two below, also after a failure. -errno, logged. */
int manager_start_brokers(struct manager *m);
/* Before the queues are freed: nothing comes back to them any more. */
void manager_free_publishers(struct manager *m);
/* After the queues, which borrow from them. */
void manager_free_brokers(struct manager *m);

/* Frees threads that are stuck, as far as that can be done from outside. False: one is stuck all the same. */
bool manager_check_threads(struct manager *m);
/* Has that done from time to time. An errno of sd-event, logged. */
int manager_watch_threads(struct manager *m);
