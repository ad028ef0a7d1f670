/* SPDX-License-Identifier: MIT */
/* The life of a broker's thread: connect, serve, wait, again, until it is told to stop. Private to this room. */
#pragma once

#include <pthread.h>
#include "broker/link.h"

/* Starts the thread, with all signals blocked. It takes its own references to the link and to the configuration, and works for up
 * to max_consumers consumers. -ENOMEM, -EAGAIN. */
int thread_start(struct link *link, struct config *config, const struct config_broker *broker, uint32_t max_consumers,
		 pthread_t *ret);
