/* SPDX-License-Identifier: MIT */
#include "handler/program.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "handler/confine.h"
#include "handler/probe.h"
#include "handler/run.h"

/* The user's, who is looked for again if that failed before. */
static int resolve(struct program *p) {
	const struct config_handler *h = &p->queue->handler;

	identity_clear(&p->identity);
	p->identity_error = identity_resolve(h->user, h->group, &p->identity, &p->identity_missing);
	return p->identity_error;
}

/* Another user is kept from the daemon's files by their modes. */
static struct confine *confine_of(const struct program *p) {
	return p->executor && p->queue->handler.protect_secrets && p->identity.ids.uid == geteuid() ? executor_confine(p->executor)
												     : NULL;
}

/* Takes what keeps the handler from the daemon's secrets into the plan. */
static int confine(const struct program *p, struct spawn_plan *plan, struct spawn_error *error) {
	struct confine *c = confine_of(p);
	int r = c ? confine_look(c, &plan->confinement) : 0;

	if (r < 0)
		return spawn_error_set(error, SPAWN_CONFINEMENT, -r, NULL);
	plan->no_new_privs = plan->confinement >= 0 && confine_needs_no_new_privs(c);
	return 0;
}

int program_new(struct executor *executor, const struct config_queue *queue, struct program **ret) {
	CLEANUP(program_free) struct program *p = calloc(1, sizeof(*p));
	struct spawn_plan plan = SPAWN_PLAN_INIT;
	struct spawn_error error;
	int r;

	if (!p)
		return -ENOMEM;
	p->executor = executor;
	p->queue = queue;
	r = command_parse(queue->handler.command, &p->command);
	if (r < 0)
		return r;
	/* So that what cannot be had of this is in the log from the start on; it is looked at again for each run. */
	if (resolve(p) == 0)
		(void)confine(p, &plan, &error);
	*ret = TAKE(p);
	return 0;
}

struct program *program_free(struct program *p) {
	if (p) {
		command_clear(&p->command);
		identity_clear(&p->identity);
	}
	free(p);
	return NULL;
}

int program_probe(struct program *p, struct spawn_error *error) {
	/* What was found stays: asking again may take long, and all queues would wait for it. */
	if (p->identity_error < 0 && resolve(p) < 0) {
		*error = p->identity_missing;
		return p->identity_error;
	}
	return probe_handler(&p->queue->handler, identity_ids(&p->identity), error);
}

static void add_limit(struct spawn_plan *plan, bool wanted, int resource, const char *name, uint64_t soft, uint64_t hard) {
	if (wanted)
		plan->limits[plan->n_limits++] =
			(struct spawn_limit){.resource = resource, .name = name, .soft = soft, .hard = hard};
}

static void add_limits(struct spawn_plan *plan, const struct config_rlimits *l) {
	add_limit(plan, l->has_memory, RLIMIT_AS, "memory", l->memory, l->memory);
	/* SIGXCPU first, which says what it is about, and SIGKILL a second later. */
	add_limit(plan, l->has_cpu, RLIMIT_CPU, "cpu", l->cpu, (uint64_t)l->cpu + 1);
	add_limit(plan, l->has_files, RLIMIT_NOFILE, "files", l->files, l->files);
	add_limit(plan, l->has_processes, RLIMIT_NPROC, "processes", l->processes, l->processes);
	add_limit(plan, l->has_file_size, RLIMIT_FSIZE, "file_size", l->file_size, l->file_size);
	add_limit(plan, l->has_core, RLIMIT_CORE, "core", l->core, l->core);
}

unsigned program_generation(const struct program *p) {
	struct confine *c = confine_of(p);

	return c ? confine_generation(c) : 0;
}

bool program_is_outdated(const struct program *p, unsigned generation) {
	struct confine *c = confine_of(p);

	return c && (confine_generation(c) != generation || (generation > 0 && confine_is_stale(c)));
}

int program_plan(const struct program *p, struct spawn_plan *ret, struct spawn_error *error) {
	const struct config_handler *h = &p->queue->handler;
	struct spawn_plan plan = SPAWN_PLAN_INIT;
	int r;

	if (p->identity_error < 0) {
		*error = p->identity_missing;
		return p->identity_error;
	}
	r = confine(p, &plan, error);
	if (r < 0)
		return r;
	plan.directory = h->directory;
	plan.identity = identity_ids(&p->identity);
	plan.user = p->identity.name;
	plan.drop_capabilities = p->identity.ids.uid != 0;
	plan.has_umask = h->has_umask;
	plan.umask = h->umask;
	plan.has_nice = h->has_nice;
	plan.nice = h->nice;
	plan.subreaper = true;
	add_limits(&plan, &h->limits);
	*ret = plan;
	return 0;
}
