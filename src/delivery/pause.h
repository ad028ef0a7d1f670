/* SPDX-License-Identifier: MIT */
/* What a queue remembers of a handler that cannot be executed: when to look again, and whether looking can tell. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include "base/backoff.h"
#include "config/config.h"
#include "handler/program.h"
#include "handler/spawn.h"

#define PAUSE_MIN_USEC (1 * USEC_PER_SEC)
#define PAUSE_MAX_USEC (60 * USEC_PER_SEC)

struct pause {
	struct backoff backoff;
	/* The command as it was when the kernel could not execute its format: while the file is the same, so is the answer,
	 * and no message needs to be spent on asking again. */
	bool bad_format;
	dev_t dev;
	ino_t ino;
	struct timespec mtime;
	struct timespec ctime;
	struct spawn_error error; /* the last one */
};

void pause_init(struct pause *p);

/* Notes that the handler could not be executed. Returns the delay until the next look. `random`: any number. */
uint64_t pause_failed(struct pause *p, const struct config_handler *handler, const struct spawn_error *error,
		      uint32_t random);

/* Looks, without a message, whether a run is worth trying. 0, or -errno with p->error saying why not. */
int pause_probe(struct pause *p, struct program *program);

/* Returns the delay until the next look after a probe that failed. */
uint64_t pause_again(struct pause *p, uint32_t random);

/* The handler was executed. */
void pause_reset(struct pause *p);
