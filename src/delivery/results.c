/* SPDX-License-Identifier: MIT */
#include "delivery/results.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/siphash.h"

struct result {
	struct list node;
	struct fingerprint fingerprint;
	uint64_t added_usec;
};

int results_init(struct results *r, const struct config_results *config) {
	*r = (struct results){.config = config};
	list_init(&r->kept);
	if (getrandom(r->keys, sizeof(r->keys), 0) != sizeof(r->keys))
		return -errno;
	return 0;
}

static void forget(struct results *r, struct result *result) {
	list_remove(&result->node);
	r->n_kept--;
	free(result);
}

void results_clear(struct results *r) {
	LIST_FOREACH(result, &r->kept, struct result, node)
		forget(r, result);
}

static void hash_both(const struct results *r, const void *data, size_t len, uint64_t ret[2]) {
	for (size_t i = 0; i < 2; i++)
		ret[i] = siphash(r->keys[i], data, len);
}

bool results_identify(const struct results *r, const struct message *m, struct fingerprint *ret) {
	const struct text *id = &m->properties.message_id;
	/* The parts are hashed one by one, and then their hashes: so it matters where one ends and the next begins. */
	uint64_t parts[3][2] = {{0}};
	void *body = m->body;

	if (r->config->keep == 0 || !id->data || id->len == 0 || m->body_state != BODY_COMPLETE || m->body_size > RESULTS_BODY_MAX)
		return false;
	if (m->body_fd >= 0) {
		body = mmap(NULL, m->body_size, PROT_READ, MAP_SHARED, m->body_fd, 0);
		if (body == MAP_FAILED)
			return false;
	}
	hash_both(r, id->data, id->len, parts[0]);
	hash_both(r, body ? body : "", body ? m->body_size : 0, parts[1]);
	parts[2][0] = m->body_size;
	if (m->body_fd >= 0)
		(void)munmap(body, m->body_size);
	hash_both(r, parts, sizeof(parts), ret->words);
	return true;
}

static void forget_old(struct results *r, uint64_t now_usec) {
	struct result *oldest;

	while ((oldest = LIST_FIRST(&r->kept, struct result, node)) &&
	       clock_add_usec(oldest->added_usec, r->config->max_age_usec) <= now_usec)
		forget(r, oldest);
}

void results_add(struct results *r, const struct fingerprint *f, uint64_t now_usec) {
	struct result *result;

	if (r->config->keep == 0)
		return;
	forget_old(r, now_usec);
	if (r->n_kept >= r->config->keep)
		forget(r, LIST_FIRST(&r->kept, struct result, node));
	result = malloc(sizeof(*result));
	if (!result)
		return;
	*result = (struct result){.fingerprint = *f, .added_usec = now_usec};
	list_init(&result->node);
	list_append(&r->kept, &result->node);
	r->n_kept++;
}

bool results_take(struct results *r, const struct fingerprint *f, uint64_t now_usec) {
	forget_old(r, now_usec);
	LIST_FOREACH(result, &r->kept, struct result, node) {
		if (memcmp(&result->fingerprint, f, sizeof(*f)) != 0)
			continue;
		forget(r, result);
		return true;
	}
	return false;
}
