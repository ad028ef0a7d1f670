/* SPDX-License-Identifier: MIT */
/* What has to be freed of a struct of the tree, by the table of keys. */
#pragma once

#include "config/keys.h"

struct config_broker;

/* Frees all that the struct of this section owns, and what is below it; wipes secrets. Not the struct itself. */
void section_clear(enum section section, void *base);

/* Frees all addresses of the broker; wipes their passwords. */
void addresses_clear(struct config_broker *b);

/* Frees a secret after wiping it. NULL-safe. */
void secret_free(char *s);

/* Frees a NULL-terminated array of strings. NULL-safe. */
void strings_free(char **strings);
