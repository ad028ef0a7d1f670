/* SPDX-License-Identifier: MIT */
#include "service/systemd.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"

#define STATUS_INTERVAL_USEC USEC_PER_SEC
#define STATUS_ACCURACY_USEC (50 * USEC_PER_MSEC)

struct systemd {
	const struct systemd_callbacks *callbacks; /* borrowed */
	void *userdata;
	bool notified;	/* somebody listens: NOTIFY_SOCKET was set */
	bool ready;
	bool stopping;
	char *status;		       /* the last one sent; owned */
	uint64_t status_usec;	       /* when it was sent; monotonic */
	sd_event_source *status_timer; /* owned; armed while a status is due */
	sd_event_source *watchdog;     /* owned; NULL without a watchdog */
	uint64_t watchdog_usec;	       /* half of what the service manager allows */
};

static void systemd_send_status(struct systemd *s) {
	char *text;

	sd_event_source_set_enabled(s->status_timer, SD_EVENT_OFF);
	if (s->callbacks->status(s->userdata, &text) < 0)
		return;
	s->status_usec = clock_now_usec();
	if (s->status && strcmp(s->status, text) == 0) {
		free(text);
		return;
	}
	(void)sd_notifyf(0, "STATUS=%s", text);
	free(s->status);
	s->status = text;
}

static int on_status_timer(sd_event_source *source, uint64_t usec, void *userdata) {
	systemd_send_status(userdata);
	return 0;
}

static int on_watchdog(sd_event_source *source, uint64_t usec, void *userdata) {
	struct systemd *s = userdata;

	if (s->callbacks->is_alive(s->userdata))
		(void)sd_notify(0, "WATCHDOG=1");
	sd_event_source_set_time(source, clock_add_usec(clock_now_usec(), s->watchdog_usec));
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int systemd_add_watchdog(struct systemd *s, sd_event *event) {
	uint64_t usec;
	int r = sd_watchdog_enabled(0, &usec);

	/* A malformed WATCHDOG_USEC is the service manager's error: it would have no watchdog then, either. */
	if (r <= 0)
		return 0;
	s->watchdog_usec = usec / 2;
	/* The first ping at once: the manager counts from our start. */
	return sd_event_add_time(event, &s->watchdog, CLOCK_MONOTONIC, 0, usec / 20 + 1, on_watchdog, s);
}

int systemd_new(sd_event *event, const struct systemd_callbacks *callbacks, void *userdata, struct systemd **ret) {
	CLEANUP(systemd_free) struct systemd *s = calloc(1, sizeof(*s));
	const char *socket = getenv("NOTIFY_SOCKET");
	int r;

	if (!s)
		return -ENOMEM;
	s->callbacks = callbacks;
	s->userdata = userdata;
	s->notified = socket && *socket;
	r = sd_event_add_time(event, &s->status_timer, CLOCK_MONOTONIC, USEC_INFINITY, STATUS_ACCURACY_USEC, on_status_timer, s);
	if (r < 0)
		return r;
	sd_event_source_set_enabled(s->status_timer, SD_EVENT_OFF);
	r = systemd_add_watchdog(s, event);
	if (r < 0)
		return r;
	*ret = TAKE(s);
	return 0;
}

struct systemd *systemd_free(struct systemd *s) {
	if (!s)
		return NULL;
	sd_event_source_disable_unref(s->status_timer);
	sd_event_source_disable_unref(s->watchdog);
	free(s->status);
	free(s);
	return NULL;
}

void systemd_ready(struct systemd *s) {
	if (s->ready || s->stopping)
		return;
	s->ready = true;
	(void)sd_notify(0, "READY=1");
	systemd_status_changed(s, true);
}

void systemd_reloading(struct systemd *s) {
	if (s->ready && !s->stopping)
		(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_now_usec());
}

void systemd_reloaded(struct systemd *s) {
	if (s->ready && !s->stopping)
		(void)sd_notify(0, "READY=1");
	systemd_status_changed(s, true);
}

void systemd_stopping(struct systemd *s) {
	if (s->stopping)
		return;
	s->stopping = true;
	(void)sd_notify(0, "STOPPING=1");
	systemd_status_changed(s, true);
}

void systemd_extend_timeout(struct systemd *s, uint64_t usec) {
	(void)sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%" PRIu64, usec);
}

void systemd_status_changed(struct systemd *s, bool urgent) {
	uint64_t due = clock_add_usec(s->status_usec, STATUS_INTERVAL_USEC);
	int enabled;

	if (!s->notified)
		return;
	if (urgent) {
		systemd_send_status(s);
		return;
	}
	if (sd_event_source_get_enabled(s->status_timer, &enabled) >= 0 && enabled != SD_EVENT_OFF)
		return;
	sd_event_source_set_time(s->status_timer, due);
	sd_event_source_set_enabled(s->status_timer, SD_EVENT_ONESHOT);
}
