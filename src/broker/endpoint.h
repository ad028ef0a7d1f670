/* SPDX-License-Identifier: MIT */
/* The main thread's end of a broker connection, whatever the connection is for: its thread, its mailboxes in the event
 * loop, its stop and its watchdog. Private to this room. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include "base/mailbox.h"
#include "broker/broker.h"
#include "broker/link.h"
#include "broker/thread.h"

struct endpoint;

/* Called from the event loop only. None comes after BROKER_STOPPED but `released`. */
struct endpoint_callbacks {
	void (*state)(enum broker_state state, const struct broker_report *report, void *userdata);
	void (*blocked)(bool blocked, const char *reason, void *userdata);
	/* Whatever else the thread has posted. Takes ownership. */
	void (*item)(struct mailbox_item *item, void *userdata);
	/* endpoint_free is done, no callback runs any more: the owner may go. */
	void (*released)(void *userdata);
};

/* Makes the two mailboxes, for mailbox_limit items each at first, and the thread for this role. Keeps a reference to `config`,
 * of which `broker` is a part. -ENOMEM, -EAGAIN (no thread), an errno of eventfd(2). */
int endpoint_new(sd_event *event, struct config *config, const struct config_broker *broker, const struct role *role,
		 size_t mailbox_limit, const struct endpoint_callbacks *callbacks, void *userdata,
		 struct endpoint **ret);

/* Ends the thread at once, and waits for it for at most two seconds, or for a moment if endpoint_stop has waited
 * already and in vain; one that is stuck for longer is left behind and cleans up after itself. Calls `released`, when a
 * callback that is running has returned. NULL-safe, returns NULL. */
struct endpoint *endpoint_free(struct endpoint *e);

struct link *endpoint_link(struct endpoint *e);

/* After BROKER_STOPPED. */
bool endpoint_is_stopped(const struct endpoint *e);

/* Posts to the thread. -ENOTCONN: after BROKER_STOPPED; -ENOBUFS: full. On failure the item remains the caller's. */
int endpoint_post(struct endpoint *e, struct mailbox_item *item);
/* The same whether there is room or not: see mailbox_post_anyway. */
int endpoint_post_anyway(struct endpoint *e, struct mailbox_item *item);

/* As broker_stop and broker_overdue_usec. */
int endpoint_stop(struct endpoint *e, uint64_t timeout_usec);
uint64_t endpoint_overdue_usec(struct endpoint *e, uint64_t now_usec);
