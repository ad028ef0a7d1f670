/* SPDX-License-Identifier: MIT */
#include "delivery/pause.h"

#include <errno.h>

#include "base/clock.h"
#include "handler/run.h"

void pause_init(struct pause *p) {
	*p = (struct pause){0};
	backoff_init(&p->backoff, PAUSE_MIN_USEC, PAUSE_MAX_USEC);
}

static bool same_time(const struct timespec *a, const struct timespec *b) {
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

uint64_t pause_failed(struct pause *p, const struct config_handler *handler, const struct spawn_error *error,
		      uint32_t random) {
	struct stat st;

	p->error = *error;
	p->bad_format = error->step == SPAWN_EXECUTE && error->error == ENOEXEC && stat(handler->command[0], &st) == 0;
	if (p->bad_format) {
		p->dev = st.st_dev;
		p->ino = st.st_ino;
		p->mtime = st.st_mtim;
		p->ctime = st.st_ctim;
	}
	return pause_again(p, random);
}

int pause_probe(struct pause *p, struct program *program) {
	const struct config_handler *handler = &program->queue->handler;
	struct spawn_error error;
	struct stat st;
	int r = program_probe(program, &error);

	if (r < 0) {
		p->error = error;
		p->bad_format = false;
		return r;
	}
	if (p->bad_format && stat(handler->command[0], &st) == 0 && st.st_dev == p->dev && st.st_ino == p->ino &&
	    same_time(&st.st_mtim, &p->mtime) && same_time(&st.st_ctim, &p->ctime))
		return -ENOEXEC;
	return 0;
}

uint64_t pause_again(struct pause *p, uint32_t random) {
	return backoff_next_usec(&p->backoff, random);
}

void pause_reset(struct pause *p) {
	pause_init(p);
}
