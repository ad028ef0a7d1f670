/* SPDX-License-Identifier: MIT */
/* What the service manager is told (sd_notify(3)): readiness, status, stopping, more time, watchdog. Without a service
 * manager everything here does nothing. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include "base/macro.h"

struct systemd;

struct systemd_callbacks {
	/* Asked before each WATCHDOG=1: false withholds it, so that the service manager restarts us. */
	bool (*is_alive)(void *userdata);
	/* Asked for the text of STATUS= when it is due; the caller frees *ret. 0 or -ENOMEM. */
	int (*status)(void *userdata, char **ret);
};

/* Arms the watchdog timer at half of WATCHDOG_USEC if the service manager wants one. Callbacks and userdata are borrowed. */
int systemd_new(sd_event *event, const struct systemd_callbacks *callbacks, void *userdata, struct systemd **ret);
struct systemd *systemd_free(struct systemd *s);
DEFINE_CLEANUP(struct systemd *, systemd_free);

/* READY=1, once, together with the current status. */
void systemd_ready(struct systemd *s);

/* RELOADING=1: a reload has begun; and READY=1 again: it is over. Nothing before systemd_ready, which is then still to come. */
void systemd_reloading(struct systemd *s);
void systemd_reloaded(struct systemd *s);

/* STOPPING=1, once. */
void systemd_stopping(struct systemd *s);

/* EXTEND_TIMEOUT_USEC=: the stop takes at least this much longer from now. */
void systemd_extend_timeout(struct systemd *s, uint64_t usec);

/* Something that STATUS= tells has changed: it is sent soon, at most once a second; at once if `urgent`. */
void systemd_status_changed(struct systemd *s, bool urgent);
