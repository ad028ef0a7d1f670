/* SPDX-License-Identifier: MIT */
/* Owns the event loop and every object of the daemon: starts them, runs, drains, stops. */
#pragma once

#include "config/config.h"

/* Runs the daemon until it has been told to stop and is done. Takes the log as open, and the signals SIGTERM, SIGINT,
 * SIGHUP and SIGCHLD as blocked. Keeps its own reference to the configuration. `guard_fd`: of guard_start, borrowed, or -1: at
 * its end of file every handler is killed with all that it has started, and -EPIPE returned. Returns 0 after a clean
 * stop, -errno (logged) when it could not start or cannot go on; -ENOTSUP: a socket that the configuration asks for
 * cannot be had, and starting again would not help. */
int manager_run(struct config *config, int guard_fd);
