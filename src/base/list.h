/* SPDX-License-Identifier: MIT */
/* Intrusive doubly linked list. A node is on at most one list; a node that is on none points to itself. */
#pragma once

#include <stdbool.h>
#include "base/macro.h"

struct list {
	struct list *next;
	struct list *prev;
};

static inline void list_init(struct list *node) {
	node->next = node->prev = node;
}

static inline bool list_is_empty(const struct list *head) {
	return head->next == head;
}

/* True if the node is on a list (the same test as a head that is not empty, under its other name). */
static inline bool list_is_linked(const struct list *node) {
	return node->next != node;
}

/* Puts node before `at`; with a list's head as `at`, at the end. */
static inline void list_insert_before(struct list *at, struct list *node) {
	node->prev = at->prev;
	node->next = at;
	at->prev->next = node;
	at->prev = node;
}

static inline void list_append(struct list *head, struct list *node) {
	list_insert_before(head, node);
}

/* Takes the node off its list; harmless if it is on none. */
static inline void list_remove(struct list *node) {
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

#define LIST_ENTRY(node, type, member) CONTAINER_OF(node, type, member)
#define LIST_FIRST(head, type, member) (list_is_empty(head) ? NULL : LIST_ENTRY((head)->next, type, member))

/* `it` may be removed from the list inside the loop; no other node may. */
#define LIST_FOREACH(it, head, type, member)                                                                           \
	for (struct list *it##_node_ = (head)->next, *it##_next_;                                                      \
	     it##_next_ = it##_node_->next, it##_node_ != (head); it##_node_ = it##_next_)                             \
		for (type *it = LIST_ENTRY(it##_node_, type, member); it; it = NULL)
