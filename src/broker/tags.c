/* SPDX-License-Identifier: MIT */
#include "broker/tags.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define SIZE_MIN 16

void tags_init(struct tags *t) {
	*t = (struct tags){.unused = TAGS_NONE, .oldest = TAGS_NONE, .newest = TAGS_NONE};
}

void tags_clear(struct tags *t) {
	free(t->entries);
	tags_init(t);
}

static void push_unused(struct tags *t, uint32_t i) {
	t->entries[i].newer = t->unused;
	t->unused = i;
}

void tags_reset(struct tags *t) {
	t->unused = TAGS_NONE;
	t->oldest = TAGS_NONE;
	t->newest = TAGS_NONE;
	t->last = 0;
	for (uint32_t i = t->size; i-- > 0;) {
		t->entries[i].first = TAGS_NONE;
		push_unused(t, i);
	}
}

/* The chains by tag modulo the size: tags come one after the other, so they are spread evenly over the chains, and one
 * of those that stay for long is met once per `size` tags, whoever chooses which stay. */
static uint32_t *chain(struct tags *t, uint64_t tag) {
	return &t->entries[tag & (t->size - 1)].first;
}

static void chain_add(struct tags *t, uint32_t i) {
	uint32_t *first = chain(t, t->entries[i].tag);

	t->entries[i].next = *first;
	*first = i;
}

/* Room for twice as many. */
static int grow(struct tags *t) {
	uint32_t size = t->size ? 2 * t->size : SIZE_MIN;
	struct tag *entries = size > t->size ? reallocarray(t->entries, size, sizeof(*entries)) : NULL;

	if (!entries)
		return -ENOMEM;
	t->entries = entries;
	for (uint32_t i = size; i-- > t->size;)
		push_unused(t, i);
	t->size = size;
	for (uint32_t i = 0; i < size; i++)
		entries[i].first = TAGS_NONE;
	for (uint32_t i = t->oldest; i != TAGS_NONE; i = entries[i].newer)
		chain_add(t, i);
	return 0;
}

int tags_deliver(struct tags *t, uint64_t tag) {
	struct tag *e;
	uint32_t i;

	if (tag <= t->last)
		return -EPROTO;
	if (t->unused == TAGS_NONE && grow(t) < 0)
		return -ENOMEM;
	i = t->unused;
	e = &t->entries[i];
	t->unused = e->newer;
	e->tag = tag;
	e->acked = false;
	e->older = t->newest;
	e->newer = TAGS_NONE;
	if (t->newest == TAGS_NONE)
		t->oldest = i;
	else
		t->entries[t->newest].newer = i;
	t->newest = i;
	t->last = tag;
	chain_add(t, i);
	return 0;
}

/* The link of the tag's chain that leads to it. */
static uint32_t *find(struct tags *t, uint64_t tag) {
	uint32_t *link;

	assert(t->size > 0);
	link = chain(t, tag);
	while (*link != TAGS_NONE && t->entries[*link].tag != tag)
		link = &t->entries[*link].next;
	assert(*link != TAGS_NONE);
	return link;
}

void tags_batch(struct tags *t, uint64_t tag) {
	struct tag *e = &t->entries[*find(t, tag)];

	assert(!e->acked);
	e->acked = true;
}

void tags_settle(struct tags *t, uint64_t tag) {
	uint32_t *link = find(t, tag);
	uint32_t i = *link;
	struct tag *e = &t->entries[i];

	*link = e->next;
	if (e->older == TAGS_NONE)
		t->oldest = e->newer;
	else
		t->entries[e->older].newer = e->newer;
	if (e->newer == TAGS_NONE)
		t->newest = e->older;
	else
		t->entries[e->newer].older = e->older;
	push_unused(t, i);
}

uint32_t tags_take_prefix(struct tags *t, uint64_t *ret_last) {
	uint64_t last = 0;
	uint32_t n = 0;

	while (t->oldest != TAGS_NONE && t->entries[t->oldest].acked) {
		last = t->entries[t->oldest].tag;
		tags_settle(t, last);
		n++;
	}
	*ret_last = last;
	return n;
}
