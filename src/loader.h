/* SPDX-License-Identifier: MIT */
/* Reads a configuration without stopping the event loop: its files may be on a file system that does not answer, its users in a
 * directory service. A thread reads, once. */
#pragma once

#include <systemd/sd-event.h>
#include "base/macro.h"
#include "config/config.h"

struct loader;

/* `result`, `problems` and `config` as of config_load; `config` NULL after a failure. All are borrowed for the call: keep a reference.
 * The loader may be freed by it. */
typedef void (*loader_done)(int result, const struct config_problems *problems, struct config *config, void *userdata);

/* Begins to read; `done` comes once, from the event loop. -ENOMEM, -EAGAIN (no thread), an errno of eventfd(2) or sd-event. */
int loader_new(sd_event *event, const char *path, loader_done done, void *userdata, struct loader **ret);

/* `done` does not come any more. A thread that still reads is left behind, and cleans up after itself. NULL-safe, returns NULL. */
struct loader *loader_free(struct loader *l);
DEFINE_CLEANUP(struct loader *, loader_free);
