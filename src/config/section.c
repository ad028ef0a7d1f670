/* SPDX-License-Identifier: MIT */
#include "config/section.h"

#include <stdlib.h>
#include <string.h>

#include "config/config.h"

void secret_free(char *s) {
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

void strings_free(char **strings) {
	for (char **s = strings; s && *s; s++)
		free(*s);
	free(strings);
}

static void clear_url(struct config_broker *b) {
	free(b->host);
	free(b->vhost);
	b->host = NULL;
	b->vhost = NULL;
}

static void clear_list(const struct key *k, void *base) {
	char **array = (char **)(void *)((char *)base + k->offset);
	size_t n = *(size_t *)(void *)((char *)base + k->count_offset);

	for (size_t i = 0; *array && i < n; i++)
		section_clear(k->child, *array + i * section_size(k->child));
	free(*array);
	*array = NULL;
}

static void clear_key(const struct key *k, void *base) {
	void *at = (char *)base + k->offset;

	switch (k->type) {
	case KEY_STRING:
	case KEY_PATH:
		free(*(char **)at);
		*(char **)at = NULL;
		break;
	case KEY_SECRET:
		secret_free(*(char **)at);
		*(char **)at = NULL;
		break;
	case KEY_STRINGS:
	case KEY_COMMAND:
	case KEY_ENVIRONMENT:
		strings_free(*(char ***)at);
		*(char ***)at = NULL;
		break;
	case KEY_TABLE:
		table_clear(at);
		break;
	case KEY_URL:
		clear_url(base);
		break;
	case KEY_GROUP:
		section_clear(k->child, at);
		break;
	case KEY_LIST: /* and with it KEY_ONE, the same array */
		clear_list(k, base);
		break;
	default: /* kept in the struct itself, or borrowed */
		break;
	}
}

void section_clear(enum section section, void *base) {
	for (const struct key *k = key_next(section, NULL); k; k = key_next(section, k))
		clear_key(k, base);
}
