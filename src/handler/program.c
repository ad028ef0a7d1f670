/* SPDX-License-Identifier: MIT */
#include "handler/program.h"

#include <errno.h>
#include <stdlib.h>

int program_new(struct executor *executor, const struct config_queue *queue, struct program **ret) {
	struct program *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->executor = executor;
	p->queue = queue;
	*ret = p;
	return 0;
}

struct program *program_free(struct program *p) {
	free(p);
	return NULL;
}
