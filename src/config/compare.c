/* SPDX-License-Identifier: MIT */
/* Whether two configurations say the same of a broker or a queue: what a reload goes by. */
#include <string.h>

#include "config/config.h"
#include "config/keys.h"

static bool same_section(enum section section, const void *a, const void *b);
static bool same_table(const struct table *a, const struct table *b, bool array);

/* Either may be NULL: not given. */
static bool same_string(const char *a, const char *b) {
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Not given at all is the same as given without a string in it. */
static bool same_strings(char **a, char **b) {
	for (; a && b && *a && *b; a++, b++)
		if (strcmp(*a, *b) != 0)
			return false;
	return (!a || !*a) && (!b || !*b);
}

/* A number that the broker is sent as another type is not the same. */
static bool same_field(const struct field *a, const struct field *b) {
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case FIELD_BOOLEAN:
		return a->boolean == b->boolean;
	case FIELD_I32:
	case FIELD_I64:
		return a->i == b->i;
	case FIELD_F64: /* by its bits, so that everything is the same as itself */
		return memcmp(&a->f, &b->f, sizeof(a->f)) == 0;
	case FIELD_STRING:
		return a->text.len == b->text.len && memcmp(a->text.data, b->text.data, a->text.len) == 0;
	case FIELD_TABLE:
	case FIELD_ARRAY:
		return same_table(&a->table, &b->table, a->kind == FIELD_ARRAY);
	default: /* no other kind can be written in a configuration */
		return false;
	}
}

/* The order matters in an array only. */
static bool same_table(const struct table *a, const struct table *b, bool array) {
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const struct field *other = array ? &b->fields[i] : table_find(b, a->fields[i].name.data);

		if (!other || !same_field(&a->fields[i], other))
			return false;
	}
	return true;
}

static bool same_addresses(const struct config_broker *a, const struct config_broker *b) {
	if (a->n_addresses != b->n_addresses)
		return false;
	for (size_t i = 0; i < a->n_addresses; i++) {
		const struct config_address *x = &a->addresses[i], *y = &b->addresses[i];

		if (!same_string(x->host, y->host) || x->port != y->port || !same_string(x->vhost, y->vhost) ||
		    !same_string(x->username, y->username) || !same_string(x->password, y->password) ||
		    x->tls != y->tls)
			return false;
	}
	return true;
}

static bool same_list(const struct key *k, const void *a, const void *b) {
	const char *items_a = *(char *const *)(const void *)((const char *)a + k->offset);
	const char *items_b = *(char *const *)(const void *)((const char *)b + k->offset);
	size_t n_a = *(const size_t *)(const void *)((const char *)a + k->count_offset);
	size_t n_b = *(const size_t *)(const void *)((const char *)b + k->count_offset);
	size_t size = section_size(k->child);

	if (n_a != n_b)
		return false;
	for (size_t i = 0; i < n_a; i++)
		if (!same_section(k->child, items_a + i * size, items_b + i * size))
			return false;
	return true;
}

static bool same_scalar(const struct key *k, const void *a, const void *b) {
	union key_value value_a, value_b;

	key_load(k, a, &value_a);
	key_load(k, b, &value_b);
	return memcmp(&value_a, &value_b, sizeof(value_a)) == 0;
}

static bool same_value(const struct key *k, const void *a, const void *b) {
	const void *at_a = (const char *)a + k->offset, *at_b = (const char *)b + k->offset;

	switch (k->type) {
	case KEY_STRING:
	case KEY_PATH:
	case KEY_TEMPLATE:
	case KEY_FILE:
	case KEY_PRIVATE_FILE:
		return same_string(*(char *const *)at_a, *(char *const *)at_b);
	case KEY_SECRET_FILE: /* what was read, wherever it was */
		return same_string(*(char *const *)(const void *)((const char *)a + k->secret_offset),
				   *(char *const *)(const void *)((const char *)b + k->secret_offset));
	case KEY_STRINGS:
	case KEY_COMMAND:
	case KEY_ENVIRONMENT:
		return same_strings(*(char **const *)at_a, *(char **const *)at_b);
	case KEY_STATUSES:
		return memcmp(at_a, at_b, sizeof(struct config_statuses)) == 0;
	case KEY_TABLE:
		return same_table(at_a, at_b, false);
	case KEY_URL:
		return same_addresses(a, b);
	case KEY_URLS: /* kept in the addresses, as the next ones are */
	case KEY_USERNAME:
	case KEY_PASSWORD:
	case KEY_PASSWORD_FILE:
	case KEY_CREDENTIAL:
		return true;
	case KEY_BROKER:
		return same_string((*(const struct config_broker *const *)at_a)->name,
				   (*(const struct config_broker *const *)at_b)->name);
	case KEY_GROUP:
		return same_section(k->child, at_a, at_b);
	case KEY_LIST:
		return same_list(k, a, b);
	default:
		return same_scalar(k, a, b);
	}
}

static bool same_section(enum section section, const void *a, const void *b) {
	for (const struct key *k = key_next(section, NULL); k; k = key_next(section, k)) {
		if (k->present_offset != KEY_NO_OFFSET) {
			bool given_a = *((const bool *)a + k->present_offset),
			     given_b = *((const bool *)b + k->present_offset);

			if (given_a != given_b)
				return false;
			if (!given_a)
				continue;
		}
		if (!same_value(k, a, b))
			return false;
	}
	return true;
}

bool config_broker_is_same(const struct config_broker *a, const struct config_broker *b) {
	return same_section(SECTION_BROKER, a, b);
}

bool config_queue_is_same(const struct config_queue *a, const struct config_queue *b) {
	return same_section(SECTION_QUEUE, a, b);
}
