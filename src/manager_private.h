/* SPDX-License-Identifier: MIT */
/* Inside of the manager, shared by its parts and nobody else: manager.c starts and runs, manager_uplink.c has the connections,
 * manager_member.c the queues, manager_past.c what those have counted that are gone, manager_reload.c takes another configuration,
 * manager_report.c says how it goes, manager_handlers.c shows the handlers that run, manager_stop.c stops. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/clock.h"
#include "base/list.h"
#include "broker/broker.h"
#include "broker/publisher.h"
#include "config/config.h"
#include "delivery/dispatcher.h"
#include "delivery/queue.h"
#include "handler/run.h"
#include "loader.h"
#include "service/control.h"
#include "service/listen.h"
#include "service/monitor.h"
#include "service/snapshot.h"
#include "service/systemd.h"

/* How long a broker may take to confirm that the queues are cancelled, and then the close of the connection; the latter for a
 * broker that has not answered already, or when we were told to hurry. */
#define CLOSE_TIMEOUT_USEC (5 * USEC_PER_SEC)
#define HASTY_CLOSE_TIMEOUT_USEC (1 * USEC_PER_SEC)

enum manager_state {
	MANAGER_RUNNING,  /* consuming */
	MANAGER_DRAINING, /* takes nothing new, handlers may end in their own time */
	MANAGER_KILLING,  /* drain_timeout is over or a second signal came: handlers are being stopped */
	MANAGER_CLOSING,  /* no handler runs: the connections are being closed */
};

/* What is known of one connection. */
struct line {
	enum broker_state state;
	const struct config_address *address; /* that its state is about; borrowed from its configuration; NULL: nothing was tried yet */
	char *reason; /* owned; why it is not up */
	char **reasons; /* owned, by address of the broker: why it could not be reached last, since it was up; or NULL */
	bool overdue; /* its thread makes no progress; logged */
	struct snapshot_connection counts; /* and of those that it has taken the place of */
};

/* A broker's connections. Owned by the manager. */
struct uplink {
	struct list node; /* manager.uplinks; on none until the configuration that it is for is taken */
	struct manager *manager; /* borrowed: the owner */
	struct config *config;	 /* a reference: to the tree that the broker's configuration is part of */
	struct broker *broker;	 /* owned; consumes */
	struct line consuming;
	struct publisher *publisher; /* owned; NULL: nothing is published there */
	struct line publishing;
	bool blocked; /* the broker takes no publications for now */
	bool retired; /* no part of the current configuration: closed as soon as no queue uses it */
	bool closing; /* being closed */
};

/* A queue at work. Owned by the manager. */
struct member {
	struct list node;      /* manager.members; on none until the configuration that it is for is taken */
	struct uplink *uplink; /* borrowed */
	struct config *config; /* a reference: to the tree that the queue's configuration is part of */
	struct queue *queue;   /* owned */
	bool started; /* it was told to consume */
	bool leaving; /* no part of the current configuration: freed as soon as it has stopped */
	bool waits;   /* one of an earlier configuration consumes still; only while manager_tidy runs */
	unsigned occupied; /* handlers of such ones; likewise */
};

/* What queues have counted that are gone. */
struct past {
	struct list queues; /* of manager_past.c, owned: those that are remembered by name; n of them */
	size_t n;
	struct queue_counters others; /* the sums of those before */
};

/* What a new configuration has changed. */
struct changes {
	const char **added, **removed, **changed; /* owned arrays of queues' names; valid until manager_tidy */
	size_t n_added, n_removed, n_changed, n_unchanged;
};

/* The last reload. */
struct reload {
	struct loader *loader; /* owned; NULL: none is under way */
	sd_event_source *timer; /* owned; while one is under way */
	bool again;	       /* wanted once more, since it began */
	uint64_t done_usec;    /* of the last one that has ended; CLOCK_REALTIME; 0: there was none */
	uint64_t n_taken;      /* that have ended with another configuration in force */
	uint64_t n_failed;     /* that have not */
	bool refused;	       /* the last one was */
	char *refusal;	       /* owned; why it was; NULL: it was not, or no memory */
};

/* A socket of the monitor, by the address that was asked for. */
struct monitor_socket {
	char *host; /* owned */
	uint16_t port;
	int fd; /* owned; the monitor has a duplicate */
};

/* Those of one configuration. */
struct monitor_sockets {
	struct monitor_socket *items; /* owned, n of them */
	size_t n;
};

/* Who listens. */
struct listening {
	struct control *control; /* owned */
	struct monitor *monitor; /* owned */
	struct listen_unix *control_socket; /* owned: the socket's file; NULL: systemd's, or none */
	struct monitor_sockets monitor_sockets;
	bool control_inherited; /* from systemd, which decides where it is */
	bool monitor_inherited;
};

/* Sockets that another configuration asks for. */
struct listen_plan {
	bool control_ignored; /* what it says has no effect, as systemd has handed one over: to be warned about */
	bool control_changed;
	struct listen_unix *control; /* owned; NULL: none */
	bool monitor_ignored; /* likewise */
	bool monitor_changed;
	struct monitor_sockets monitor;
};

struct manager {
	struct config *config; /* a reference: the current one */
	uint64_t config_usec;  /* when it was read; CLOCK_REALTIME */
	sd_event *event;       /* owned */
	struct systemd *systemd;
	struct executor *executor;
	struct dispatcher dispatcher;
	struct list uplinks; /* struct uplink, owned: in the order of the configuration, retired ones last */
	struct list members; /* struct member, owned: likewise, leaving ones last */
	struct past past;
	enum manager_state state;
	struct reload reload;
	struct listening listening;
	uint64_t started_usec; /* CLOCK_REALTIME */
	struct {
		struct snapshot_broker *brokers; /* owned */
		struct snapshot_queue *queues;	 /* owned */
		struct queue_handler *handlers;	 /* owned */
	} view; /* memory of the last snapshot */
	uint64_t drain_until_usec;
	sd_event_source *drain_timer;  /* owned; end of drain_timeout */
	sd_event_source *extend_timer; /* owned; while stopping */
	sd_event_source *close_timer;  /* owned; nothing runs, but a broker has not confirmed everything */
	sd_event_source *watch_timer;  /* owned; looks whether threads are stuck, where no watchdog does */
	sd_event_source *tidy_source;  /* owned; manager_tidy in the next turn of the loop */
	sd_event_source *guard_source; /* owned; the guard is gone */
	sd_event_source *leave_source; /* owned; defers the end of the loop until that was seen to */
	bool untidy; /* something has to leave, or waits for that: see manager_tidy */
	bool ready;
	uint64_t watch_interval_usec;
	bool publishers_stopped; /* told to: what is not confirmed soon will fail */
	bool stopping_queues; /* manager_stop is telling them one by one: no step is due before the last one knows */
};

/* --- manager.c --------------------------------------------------------------------------------------------------- */

/* Tells systemd if the time has come. */
void manager_check_ready(struct manager *m);

/* --- manager_stop.c ---------------------------------------------------------------------------------------------- */

/* Told to stop: the first time handlers are let end, the second time they are stopped, the third time killed. */
void manager_stop(struct manager *m);

/* Takes the next step of a stop, if one is under way and the step is due. */
void manager_check_stopped(struct manager *m);

/* A connection has reached BROKER_STOPPED: ends the loop when it was the last one. */
void manager_check_closed(struct manager *m);

/* --- manager_uplink.c -------------------------------------------------------------------------------------------- */

/* Begins to connect; is on no list yet. `broker` is part of `config`. -errno, logged. */
int uplink_new(struct manager *m, struct config *config, const struct config_broker *broker, struct uplink **ret);
/* The queues that use it have been freed before, or at least its publisher with uplink_free_publisher. NULL-safe, returns NULL. */
struct uplink *uplink_free(struct uplink *l);
DEFINE_CLEANUP(struct uplink *, uplink_free);
void uplink_free_publisher(struct uplink *l);

const char *uplink_name(const struct uplink *l);
/* Makes its publishing connection, unless it has one. -errno, logged. */
int uplink_publish(struct uplink *l);
/* Tells the queue if there is no connection: who comes later has missed that. */
void uplink_introduce(const struct uplink *l, struct queue *q);
/* What the connections of `from`, which it takes the place of, have counted goes on being counted here. */
void uplink_inherit(struct uplink *l, const struct uplink *from);
/* Closes both connections in an orderly way, at the latest after the time. */
void uplink_close(struct uplink *l, uint64_t timeout_usec);
/* Both are closed. */
bool uplink_is_closed(const struct uplink *l);

/* Frees threads that are stuck, as far as that can be done from outside. False: one is stuck all the same. */
bool manager_check_threads(struct manager *m);
/* Has that done from time to time, as often as the brokers' heartbeats need. An errno of sd-event, logged. */
int manager_watch_threads(struct manager *m);

/* --- manager_member.c -------------------------------------------------------------------------------------------- */

/* Does nothing yet, and is on no list yet. `queue` is part of `config`. -errno, logged. */
int member_new(struct manager *m, struct uplink *l, struct config *config, const struct config_queue *queue, struct member **ret);
/* NULL-safe, returns NULL. */
struct member *member_free(struct member *s);
DEFINE_CLEANUP(struct member *, member_free);

/* The same queue: of the same name, at a broker of the same name or address. */
bool member_is_named(const struct member *s, const struct config_queue *queue);
/* The one of the current configuration that is the same queue; of several, the one whose broker has the same name. NULL: there is none. */
struct member *manager_find_member(struct manager *m, const struct config_queue *queue);

/* What is due since a queue or a connection has changed: starts queues whose predecessors consume no more, frees what has ended,
 * closes connections that nobody uses. Not from a callback of theirs: those ask for it with manager_tidy_soon. */
void manager_tidy(struct manager *m);
void manager_tidy_soon(struct manager *m);

/* --- manager_past.c ---------------------------------------------------------------------------------------------- */

void past_init(struct past *past);
void past_clear(struct past *past);
/* Remembers what a queue that goes has counted. */
void past_keep(struct past *past, const struct config_queue *queue, const struct queue_view *view);
/* One of the same name at a broker of the same name takes that over. */
void past_give(struct past *past, struct queue *q);
/* Of all of them. */
void past_sum(const struct past *past, struct queue_counters *ret);

/* --- manager_take.c ---------------------------------------------------------------------------------------------- */

/* Takes the configuration: makes what is new in it, lets go of what is not in it any more, leaves alone what is the same. 0: it is
 * the current one now, and manager_tidy is due. -errno, logged: nothing has changed. */
int manager_take(struct manager *m, struct config *config, struct changes *ret);
void changes_clear(struct changes *c);

/* --- manager_reload.c -------------------------------------------------------------------------------------------- */

/* Reads the configuration anew and takes it. 0; -EBUSY: one is being read, and after that it is read once more; -ESHUTDOWN: the daemon
 * stops; another -errno: it could not begin. */
int manager_reload(struct manager *m);
/* The daemon stops: nothing comes of a reload that is under way. */
void manager_cancel_reload(struct manager *m);
void manager_clear_reload(struct manager *m);

/* --- manager_listen.c -------------------------------------------------------------------------------------------- */

/* Makes what answers on the sockets, and takes over those that systemd has handed to us. -errno, logged. */
int manager_listen_init(struct manager *m);
void manager_listen_clear(struct manager *m);

/* Opens the sockets that the configuration asks for and that are not open. 0, or -errno with why in words in *ret_why (owned; NULL: no
 * memory). A control socket that nobody has asked for is only warned about. Nothing is in its place before it is
 * committed. */
int manager_listen_prepare(struct manager *m, const struct config *config, struct listen_plan *ret, char **ret_why);
/* Whether what has failed with this errno may work later with the same configuration. */
bool manager_listen_may_work(int r);
/* They are those of the current configuration now. What fails is logged, and tried again with the next one. */
void manager_listen_commit(struct manager *m, struct listen_plan *p);
void listen_plan_clear(struct listen_plan *p);
static inline void listen_plan_clear_cleanup(struct listen_plan *p) {
	listen_plan_clear(p);
}

/* --- manager_handlers.c ------------------------------------------------------------------------------------------ */

/* control_callbacks.handlers, control_callbacks.kill */
int manager_list_handlers(void *userdata, const struct queue_handler **ret, size_t *ret_n);
int manager_kill_handler(void *userdata, const struct control_target *target, struct queue_handler *ret);

/* --- manager_report.c -------------------------------------------------------------------------------------------- */

/* control_callbacks.look */
int manager_look(void *userdata, struct snapshot *ret);
void manager_view_clear(struct manager *m);

/* systemd_callbacks.status */
int manager_format_status(void *userdata, char **ret);
