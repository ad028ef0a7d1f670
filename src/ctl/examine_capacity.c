/* SPDX-License-Identifier: MIT */
/* Whether the limits of the system are enough for the largest load that the configuration allows. They are those of
 * this process: the service may have others, so that whatever is too little is a warning with both figures. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "config/units.h"
#include "ctl/examine.h"
#include "ctl/text.h"

/* The daemon's own, and those of each connection to a broker: socket, its duplicate, two mailboxes. */
#define DESCRIPTORS_BASE 64
#define DESCRIPTORS_BROKER 8
/* A handler's: process, stdin, stdout, stderr, metadata. */
#define DESCRIPTORS_HANDLER 5
#define CGROUPS "/sys/fs/cgroup"

static const struct finding_place nowhere;

static uint64_t plus(uint64_t a, uint64_t b) {
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static uint64_t times(uint64_t a, uint64_t b) {
	uint64_t product;

	return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

/* The most that the handlers may take together: those with the highest limits first, as many as may run. */
static int by_memory(const void *a, const void *b) {
	const struct config_queue *p = *(const struct config_queue *const *)a,
				  *q = *(const struct config_queue *const *)b;
	uint64_t x = p->handler.limits.has_memory ? p->handler.limits.memory : 0;
	uint64_t y = q->handler.limits.has_memory ? q->handler.limits.memory : 0;

	return (x < y) - (x > y);
}

static uint64_t handler_memory(const struct config *config) {
	CLEANUP(free) const struct config_queue **sorted = calloc(config->n_queues + 1, sizeof(struct config_queue *));
	uint64_t sum = 0, left = config->max_handlers;

	if (!sorted)
		return 0;
	for (size_t i = 0; i < config->n_queues; i++)
		sorted[i] = &config->queues[i];
	qsort(sorted, config->n_queues, sizeof(*sorted), by_memory);
	for (size_t i = 0; i < config->n_queues && sorted[i]->handler.limits.has_memory; i++) {
		uint64_t n = sorted[i]->concurrency < left ? sorted[i]->concurrency : left;

		sum = plus(sum, times(n, sorted[i]->handler.limits.memory));
		left -= n;
	}
	return sum;
}

void demand_of(const struct config *config, struct demand *ret) {
	uint64_t concurrency = 0, others = 0, prefetch = 0;
	struct demand d = {0};

	for (size_t i = 0; i < config->n_queues; i++) {
		const struct config_queue *q = &config->queues[i];

		concurrency = plus(concurrency, q->concurrency);
		prefetch = plus(prefetch, q->prefetch);
		if (!q->handler.user || strcmp(q->handler.user, "root") != 0)
			others = plus(others, q->concurrency);
	}
	d.handlers = concurrency < config->max_handlers ? concurrency : config->max_handlers;
	d.users = others < config->max_handlers ? others : config->max_handlers;
	/* A large body is a memory file. */
	d.descriptors =
		DESCRIPTORS_BASE + DESCRIPTORS_BROKER * config->n_brokers + DESCRIPTORS_HANDLER * d.handlers + prefetch;
	d.handler_memory = handler_memory(config);
	d.body_memory = times(prefetch, config->max_message_size);
	*ret = d;
}

/* In whole mebibytes, or as it is. */
static const char *size_text(uint64_t bytes, struct strbuf *b) {
	const uint64_t mebi = UINT64_C(1024) * 1024;

	strbuf_reset(b);
	units_format_size(bytes >= mebi ? bytes / mebi * mebi : bytes, b);
	return strbuf_str(b);
}

static void compare_memory(const struct capacity *c, const struct demand *d, struct findings *f) {
	CLEANUP(strbuf_free) struct strbuf needed = STRBUF_INIT, there = STRBUF_INIT;

	if (d->handler_memory > c->memory)
		findings_add(f, FINDING_WARNING, &nowhere, "memory",
			     "lower limits.max_handlers, concurrency or handler.limits.memory",
			     "handlers may take %s at once by their limits, and there is %s",
			     size_text(d->handler_memory, &needed), size_text(c->memory, &there));
	if (d->body_memory > c->memory)
		findings_add(f, FINDING_WARNING, &nowhere, "memory",
			     "lower limits.max_message_size to what your messages are at most, or prefetch",
			     "the messages in hand may take %s if each is as large as limits.max_message_size allows, "
			     "and there "
			     "is %s",
			     size_text(d->body_memory, &needed), size_text(c->memory, &there));
}

void capacity_compare(const struct capacity *c, const struct demand *d, struct findings *f) {
	const size_t before = f->n[FINDING_WARNING];

	if (d->descriptors > c->descriptors)
		findings_add(f, FINDING_WARNING, &nowhere, "descriptors",
			     "raise LimitNOFILE= of the service, or lower limits.max_handlers or prefetch",
			     "the daemon may need up to %" PRIu64 " file descriptors, and the limit here is %" PRIu64,
			     d->descriptors, c->descriptors);
	if (d->users > c->processes)
		findings_add(f, FINDING_WARNING, &nowhere, "processes",
			     "raise LimitNPROC= of the service, or lower limits.max_handlers",
			     "up to %" PRIu64 " handlers may run at once, and a user may have %" PRIu64
			     " processes here",
			     d->users, c->processes);
	if (d->handlers > c->tasks)
		findings_add(f, FINDING_WARNING, &nowhere, "processes",
			     "raise TasksMax= of the service, or lower limits.max_handlers",
			     "up to %" PRIu64 " handlers may run at once, and the control group may have %" PRIu64
			     " processes and threads here",
			     d->handlers, c->tasks);
	compare_memory(c, d, f);
	if (f->n[FINDING_WARNING] == before)
		findings_add(f, FINDING_OK, &nowhere, "limits", NULL,
			     "%" PRIu64 " handler%s at once and %" PRIu64
			     " file descriptors are within the limits here",
			     d->handlers, text_plural(d->handlers), d->descriptors);
}

/* --- what there is ----------------------------------------------------------------------------------------------- */

static uint64_t read_number(const char *path) {
	FILE *f = fopen(path, "re");
	uint64_t n = UINT64_MAX;

	if (f) {
		if (fscanf(f, "%" SCNu64, &n) != 1)
			n = UINT64_MAX;
		(void)fclose(f);
	}
	return n;
}

/* The least of the group and those above it. */
static uint64_t cgroup_limit(const char *group, const char *name) {
	CLEANUP(free) char *path = strdup(group);
	uint64_t least = UINT64_MAX;

	while (path) {
		CLEANUP(strbuf_free) struct strbuf file = STRBUF_INIT;
		char *slash = strrchr(path, '/');
		uint64_t n;

		strbuf_printf(&file, CGROUPS "%s/%s", path, name);
		n = file.failed ? UINT64_MAX : read_number(strbuf_str(&file));
		least = n < least ? n : least;
		if (!slash)
			break;
		*slash = '\0';
	}
	return least;
}

/* Of control groups of version 2. */
static void read_group(char *buf, size_t size) {
	FILE *f = fopen("/proc/self/cgroup", "re");

	buf[0] = '\0';
	while (f && fgets(buf, (int)size, f)) {
		if (strncmp(buf, "0::/", 4) == 0) {
			memmove(buf, buf + 3, strlen(buf + 3) + 1);
			buf[strcspn(buf, "\n")] = '\0';
			break;
		}
		buf[0] = '\0';
	}
	if (f)
		(void)fclose(f);
}

static uint64_t soft_limit(__rlimit_resource_t resource) {
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}

void examine_capacity(struct examine *c) {
	const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	struct capacity there = {
		.descriptors = soft_limit(RLIMIT_NOFILE),
		.processes = soft_limit(RLIMIT_NPROC),
	};
	struct demand needed;
	char group[4096];

	read_group(group, sizeof(group));
	there.tasks = cgroup_limit(group, "pids.max");
	there.memory = cgroup_limit(group, "memory.max");
	if (pages > 0 && page > 0 && there.memory > (uint64_t)pages * (uint64_t)page)
		there.memory = (uint64_t)pages * (uint64_t)page;
	demand_of(c->config, &needed);
	capacity_compare(&there, &needed, &c->findings);
}
