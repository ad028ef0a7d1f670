/* SPDX-License-Identifier: MIT */
/* Small helpers that every room uses: array sizes, cleanup attributes, printf checking. */
#pragma once

#include <stddef.h>
#include <stdlib.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* For a noun after a number: "1 queue", "2 queues". */
#define PLURAL(n) ((n) == 1 ? "" : "s")

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define WARN_UNUSED __attribute__((warn_unused_result))

/* CLEANUP(x_free) on a `struct x *` runs x_free when the variable leaves its scope; take ownership out with TAKE.
 * DEFINE_CLEANUP goes beside the destructor, which takes NULL and returns NULL. */
#define CLEANUP(func) __attribute__((cleanup(func##_cleanup)))
#define DEFINE_CLEANUP(type, func)                                                                                     \
	static inline void func##_cleanup(type *p) {                                                                   \
		(void)func(*p);                                                                                        \
	}                                                                                                              \
	struct func##_cleanup_semicolon

#define TAKE(ptr)                                                                                                      \
	({                                                                                                             \
		__typeof__(ptr) take_ = (ptr);                                                                         \
		(ptr) = NULL;                                                                                          \
		take_;                                                                                                 \
	})

static inline void free_cleanup(void *p) {
	free(*(void **)p);
}
