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

void addresses_clear(struct config_broker *b) {
	for (struct config_address *a = b->addresses; a && a < b->addresses + b->n_addresses; a++) {
		free(a->host);
		free(a->vhost);
		free(a->username);
		secret_free(a->password);
	}
	free(b->addresses);
	b->addresses = NULL;
	b->n_addresses = 0;
}

static void clear_listen(struct config_monitor *m) {
	for (size_t i = 0; i < m->n_listen; i++)
		free(m->listen[i].host);
	free(m->listen);
	m->listen = NULL;
	m->n_listen = 0;
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
	char **secret;

	switch (k->type) {
	case KEY_SECRET_FILE:
		secret = (char **)(void *)((char *)base + k->secret_offset);
		secret_free(*secret);
		*secret = NULL;
		free(*(char **)at);
		*(char **)at = NULL;
		break;
	case KEY_STRING:
	case KEY_PATH:
	case KEY_SOCKET:
	case KEY_INCLUDE_DIR:
	case KEY_TEMPLATE:
	case KEY_FILE:
	case KEY_PRIVATE_FILE:
		free(*(char **)at);
		*(char **)at = NULL;
		break;
	case KEY_STRINGS:
	case KEY_COMMAND:
	case KEY_ENVIRONMENT:
		strings_free(*(char ***)at);
		*(char ***)at = NULL;
		break;
	case KEY_LISTEN:
		clear_listen(base);
		break;
	case KEY_TABLE:
		table_clear(at);
		break;
	case KEY_URL: /* and with it all that is kept in the addresses */
		addresses_clear(base);
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
