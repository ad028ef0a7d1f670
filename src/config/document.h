/* SPDX-License-Identifier: MIT */
/* The files of a configuration that have a syntax of their own: the main one, and those of include_dir, each with the
 * files that it includes. */
#pragma once

#include "base/macro.h"
#include "config/problem.h"
#include "config/source.h"
#include <libconfig.h>
#include <stdbool.h>
#include <stddef.h>

struct document {
	struct source source;
	config_t library;             /* the tree of the text; some of its strings are passwords */
	const config_setting_t *root; /* of the tree; NULL: the text could not be read, which was noted */
};

/* Owned by whoever reads a configuration. */
struct documents {
	struct document **items; /* owned, n of them; the main one first */
	size_t n;
	bool incomplete; /* at least one could not be read */
};

/* Reads the file as a further document, of which every problem is noted. 0; -EINVAL: it could not be read, and its root
 * is NULL; -ENOMEM. -ENOENT, without a problem and a document: it has gone, and `may_be_gone`. */
int documents_add(struct documents *d, const char *path, bool may_be_gone, struct config_problems *problems);

/* Frees all of them, and wipes their strings. */
void documents_clear(struct documents *d);

static inline void documents_clear_cleanup(struct documents *d) {
	documents_clear(d);
}

/* The document that the setting is in. */
const struct document *document_of(const config_setting_t *s);
