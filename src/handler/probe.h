/* SPDX-License-Identifier: MIT */
/* Looks at a program on disk: could it be executed, and if not, is it the program or the interpreter it names? */
#pragma once

#include "handler/spawn.h"

/* Completes a SPAWN_EXECUTE error that execve(2) gave for `program`, started in `directory`: fills in `interpreter` or
 * `loader` when the errno is about these. Best effort; the errno stays. */
void probe_explain(const char *directory, const char *program, struct spawn_error *error);
