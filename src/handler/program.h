/* SPDX-License-Identifier: MIT */
/* What all runs of one queue's handler have in common, prepared once: made from the configuration at the start, so that a run
 * only adds what its message brings. */
#pragma once

#include "base/macro.h"
#include "config/config.h"
#include "handler/arguments.h"
#include "handler/identity.h"
#include "handler/spawn.h"

struct executor;

/* Owned by its queue. Whoever runs it reads it; nobody changes it but program.c. */
struct program {
	struct executor *executor;	  /* borrowed; outlives it; NULL: it is never run, only looked at */
	const struct config_queue *queue; /* borrowed; outlives it */
	struct command command;	  /* its arguments; of a worker they have nothing of a message in them */
	struct identity identity; /* whom it runs as, as far as is known */
	int identity_error;	  /* 0, or why that is not known: identity_missing tells what */
	struct spawn_error identity_missing;
};

/* -ENOMEM; -EINVAL: an argument is no template, which the configuration does not allow. What cannot be had now but perhaps later (a user that nobody knows yet) is no error here but of each run. */
int program_new(struct executor *executor, const struct config_queue *queue, struct program **ret);

/* Its runs have been freed before. NULL-safe, returns NULL. */
struct program *program_free(struct program *p);
DEFINE_CLEANUP(struct program *, program_free);

/* Looks anew at what a run depends on outside of us: user and group, directory, command, interpreter (probe.h). 0, or -errno with
 * `error` overwritten: a run would fail, as far as can be told without one. */
int program_probe(struct program *p, struct spawn_error *error);

/* By which rules its processes are kept from the daemon's secrets, as of the last spawn (0: by none); and whether those that were started
 * under the rules of `generation` are kept from too much now, or too little. The latter costs some system calls. */
unsigned program_generation(const struct program *p);
bool program_is_outdated(const struct program *p, unsigned generation);

/* What of the plan is the same for each run: all but argv, envp and descriptors. 0, or -errno with `error` overwritten: whom it runs
 * as is not known, or there is no memory or descriptor for keeping it from the daemon's secrets. The plan borrows from the program. */
int program_plan(const struct program *p, struct spawn_plan *ret, struct spawn_error *error);
