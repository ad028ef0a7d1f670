/* SPDX-License-Identifier: MIT */
/* Signals to handlers and to everything that descends from them, wherever it went. Many runs at a time share one walk
 * through /proc. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "handler/executor.h"
#include "handler/tree.h"

/* A tree that grows faster than it can be stopped is given up after this many walks: its group is killed all the same.
 */
#define ROUNDS_MAX 16

static void *owner_of(pid_t leader, void *userdata) {
	return executor_find(userdata, leader);
}

/* 1 if it is new, 0 if not, -ENOMEM. */
static int remember(struct run *r, const struct tree_process *p) {
	struct run_descendant *grown;

	for (size_t i = 0; i < r->n_descendants; i++)
		if (r->descendants[i].pid == p->pid && r->descendants[i].start == p->start)
			return 0;
	if (r->n_descendants == r->n_descendants_allocated) {
		size_t more = r->n_descendants_allocated ? r->n_descendants_allocated * 2 : 8;

		grown = reallocarray(r->descendants, more, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		r->descendants = grown;
		r->n_descendants_allocated = more;
	}
	r->descendants[r->n_descendants++] = (struct run_descendant){.pid = p->pid, .start = p->start};
	return 1;
}

static void mark_incomplete(struct executor *e) {
	LIST_FOREACH (r, &e->runs, struct run, node)
		if (r->targeted)
			r->incomplete = true;
}

/* Finds the descendants of all targeted runs, remembers them, and sends `signal` (0: none) to those that are new.
 * Returns how many are new, or -errno if /proc could not be read. */
static int walk(struct executor *e, int signal) {
	CLEANUP(tree_clear) struct tree tree = {0};
	int n = 0, r = tree_read(&e->proc, &tree);

	if (r < 0) {
		mark_incomplete(e);
		return r;
	}
	/* Those that left the session, and whose parents have died since, are found by memory alone. */
	LIST_FOREACH (run, &e->runs, struct run, node)
		for (size_t i = 0; i < run->n_descendants; i++) {
			struct tree_process *p = tree_find(&tree, run->descendants[i].pid);

			if (p && p->start == run->descendants[i].start)
				p->owner = run;
		}
	strays_own(e, &tree);
	tree_own(&tree, owner_of, e);
	for (size_t i = 0; i < tree.n; i++) {
		struct tree_process *p = tree.processes + i;
		struct run *run = p->owner;

		if (!run || !run->targeted || p->pid == run->pid)
			continue;
		r = remember(run, p);
		if (r < 0)
			run->incomplete = true;
		if (r <= 0)
			continue;
		n++;
		if (signal)
			(void)tree_signal(&e->proc, p->pid, p->start, signal);
	}
	return n;
}

/* SIGKILL to one run's group and to all of its descendants that are known. */
static void kill_tree(struct executor *e, struct run *r) {
	if (r->pid > 0)
		(void)kill(-r->pid, SIGKILL);
	for (size_t i = 0; i < r->n_descendants; i++) {
		int result = tree_signal(&e->proc, r->descendants[i].pid, r->descendants[i].start, SIGKILL);

		if (result < 0 && result != -ESRCH)
			r->incomplete = true;
	}
	r->n_descendants = 0;
	r->targeted = false;
}

/* Stops everything first: who is stopped cannot fork, and as long as nobody has died the parents tell who belongs to
 * whom. What cannot be found, or not be signalled (it runs as another user by a setuid program), is beyond us: the run
 * says so. */
void kill_targeted(struct executor *e) {
	int found = 1;

	tree_source_drain(&e->proc);
	LIST_FOREACH (r, &e->runs, struct run, node)
		if (r->targeted && r->pid > 0)
			(void)kill(-r->pid, SIGSTOP);
	for (int round = 0; round < ROUNDS_MAX && found > 0; round++)
		found = walk(e, SIGSTOP);
	if (found > 0)
		mark_incomplete(e);
	LIST_FOREACH (r, &e->runs, struct run, node)
		if (r->targeted)
			kill_tree(e, r);
	tree_source_fill(&e->proc);
}

/* SIGTERM goes to the groups only; who has left them is noted down as long as the parents are there to tell. */
static void terminate_targeted(struct executor *e) {
	tree_source_drain(&e->proc);
	(void)walk(e, 0);
	tree_source_fill(&e->proc);
	LIST_FOREACH (r, &e->runs, struct run, node)
		if (r->targeted) {
			(void)kill(-r->pid, SIGTERM);
			r->targeted = false;
		}
}

/* Targets the due runs of one state. */
static bool target(struct executor *e, enum run_state state) {
	bool any = false;

	LIST_FOREACH (r, &e->due, struct run, step)
		if (r->state == state) {
			list_remove(&r->step);
			any = r->targeted = true;
		}
	return any;
}

void kill_due(struct executor *e) {
	if (target(e, RUN_STATE_TERMINATING))
		terminate_targeted(e);
	if (target(e, RUN_STATE_KILLING))
		kill_targeted(e);
}
