/* SPDX-License-Identifier: MIT */
/* What all runs of one queue's handler have in common, prepared once: made from the configuration at the start, so that a run
 * only adds what its message brings. */
#pragma once

#include "base/macro.h"
#include "config/config.h"

struct executor;

/* Owned by its queue. Whoever runs it reads it; nobody changes it but program.c. */
struct program {
	struct executor *executor;	  /* borrowed; outlives it */
	const struct config_queue *queue; /* borrowed; outlives it */
};

/* -ENOMEM. What cannot be had now but perhaps later (a user that nobody knows yet) is no error here but of each run. */
int program_new(struct executor *executor, const struct config_queue *queue, struct program **ret);

/* Its runs have been freed before. NULL-safe, returns NULL. */
struct program *program_free(struct program *p);
DEFINE_CLEANUP(struct program *, program_free);
