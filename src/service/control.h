/* SPDX-License-Identifier: MIT */
/* The control socket: orders and questions of amqp-execctl, or of curl --unix-socket, in HTTP and JSON (amqp-execctl(1)
 * lists them). Who may ask: root, the daemon's own user, and the members of the socket's group. */
#pragma once

#include "base/macro.h"
#include "config/config.h"
#include "delivery/queue_handlers.h"
#include "service/http.h"
#include "service/snapshot.h"
#include <stddef.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

enum control_order {
	CONTROL_PAUSE, /* take nothing new; what is in hand goes on */
	CONTROL_RESUME,
};

/* Which handler is meant. */
struct control_target {
	pid_t pid;
	uint64_t delivery_tag; /* of the message that it has; 0: any */
	const char *queue;     /* NULL: any, as the broker */
	const char *broker;
};

struct control;

/* What the manager does for us; all on the main thread, none is called from within a function of this header. */
struct control_callbacks {
	/* Fills in *ret, whose pointers stay valid until the next call, and while the event lasts. -ENOMEM. */
	int (*look)(void *userdata, struct snapshot *ret);
	/* Starts a reload. 0: it has begun. -EBUSY: one is under way, and another begins as soon as that is over,
	 * without being asked again. -ESHUTDOWN: the daemon stops. Each one that ends is told by control_reload_done,
	 * later, not from in here. */
	int (*reload)(void *userdata);
	/* Pauses or resumes the queue of that name at that broker, which the last snapshot has, and which does not
	 * leave. To pause what is paused does nothing, nor does to resume what is not. 0, -ESHUTDOWN, or another
	 * -errno. */
	int (*order)(void *userdata, enum control_order order, const char *queue, const char *broker);
	/* The handlers that run, the oldest first; they stay valid as a snapshot does. -ENOMEM. */
	int (*handlers)(void *userdata, const struct queue_handler **ret, size_t *ret_n);
	/* Stops that one. As queue_time_out_handler. */
	int (*kill)(void *userdata, const struct control_target *target, struct queue_handler *ret);
};

/* How a reload has ended. Everything is borrowed for the call. */
struct control_reload_result {
	/* NULL, also if the configuration is refused: the reload went through to its end. Else why it did not ("out of
	 * memory"). */
	const char *failure;
	/* With errors among them the configuration was refused, and the old one is in force; else they are warnings. */
	const struct config_problems *problems;
	/* If it was not: names of queues. */
	const char *const *added;
	size_t n_added;
	const char *const *removed;
	size_t n_removed;
	const char *const *changed;
	size_t n_changed;
	size_t unchanged; /* how many */
};

/* Without a socket at first. Callbacks and userdata are borrowed. -ENOMEM, or an errno of sd-event. */
int control_new(sd_event *event, const struct control_callbacks *callbacks, void *userdata, struct control **ret);

/* Requests that wait for a reload are gone with it. Not to be called from a callback. NULL-safe, returns NULL. */
struct control *control_free(struct control *c);
DEFINE_CLEANUP(struct control *, control_free);

/* Listens on this Unix socket, which becomes its own, also if this fails, instead of on those before; clients that are
 * connected stay. `group`: that of the socket's file, whose members may give orders. As http_add_socket. */
int control_listen(struct control *c, int fd, gid_t group);

/* Listens nowhere any more; clients that are connected stay. */
void control_drop_sockets(struct control *c);

/* A reload, whoever asked for it, is over: answers those whose request came before it began. */
void control_reload_done(struct control *c, const struct control_reload_result *result);

/* Who may give orders to a daemon. */
struct control_rule {
	uid_t own;          /* its user */
	gid_t group;        /* of its socket's file; (gid_t)-1: none */
	uid_t overflow_uid; /* what every user that its user namespace does not have reads as: nobody in particular */
	gid_t overflow_gid; /* likewise */
};

/* Whether this peer may. Pure. */
bool control_may(const struct http_peer *peer, const struct control_rule *rule);
