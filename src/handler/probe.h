/* SPDX-License-Identifier: MIT */
/* Looks at a program on disk: could it be executed, and if not, is it the program or the interpreter it names? */
#pragma once

#include "config/config.h"
#include "handler/identity.h"
#include "handler/spawn.h"

/* A check without a message whether the handler could be executed by that user (NULL: the daemon's) as far as can be told without doing it: the
 * command exists, is a regular file with execute permission, a script's interpreter likewise, the directory can be entered.
 * 0, or -errno with `error` overwritten. */
int probe_handler(const struct config_handler *handler, const struct spawn_identity *id, struct spawn_error *error);

/* Completes a SPAWN_EXECUTE error that execve(2) gave `id` for `program`, started in `directory`: fills in `interpreter` or
 * `loader` when the errno is about these. Best effort; the errno stays. */
void probe_explain(const struct spawn_identity *id, const char *directory, const char *program, struct spawn_error *error);
