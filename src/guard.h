/* SPDX-License-Identifier: MIT */
/* Sees to it that nothing lives on when the daemon is killed. Under systemd the control group of the service does that; elsewhere
 * a second process: the one that was started stays in the foreground as the guard, and the daemon is its child. Whichever of the
 * two is killed, the other one kills every handler and all that they have started. */
#pragma once

#include <stdbool.h>

/* Whether nobody else would do it: no service manager has said where it wants to be told of our state (NOTIFY_SOCKET) or that it has
 * started this very process (SYSTEMD_EXEC_PID), and we are not the first process of a container, with which everything in it ends. */
bool guard_is_needed(void);

/* Splits the process in two, before there is a thread or a secret. Returns in the daemon only: the guard passes SIGTERM, SIGINT,
 * SIGHUP and SIGQUIT on, waits for the daemon's end, kills what is left of it, and ends the same way (exit status or signal).
 * 0 with a descriptor at whose end of file the guard is gone; the caller's, close-on-exec. -errno: there is no guard. */
int guard_start(int *ret_fd);
