/* SPDX-License-Identifier: MIT */
/* The monitor: what load balancers and orchestrators ask by HTTP, of anybody who can reach its address. It only tells. */
#pragma once

#include <systemd/sd-event.h>
#include "base/macro.h"
#include "service/snapshot.h"

struct monitor;

struct monitor_callbacks {
	/* As control_callbacks.look. */
	int (*look)(void *userdata, struct snapshot *ret);
};

/* Without a socket at first. Callbacks and userdata are borrowed. -ENOMEM, or an errno of sd-event. */
int monitor_new(sd_event *event, const struct monitor_callbacks *callbacks, void *userdata, struct monitor **ret);

/* NULL-safe, returns NULL. */
struct monitor *monitor_free(struct monitor *m);
DEFINE_CLEANUP(struct monitor *, monitor_free);

/* As http_add_socket and http_drop_sockets. */
int monitor_add_socket(struct monitor *m, int fd);
void monitor_drop_sockets(struct monitor *m);
