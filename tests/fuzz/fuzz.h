/* SPDX-License-Identifier: MIT */
/* What each fuzz target is: one function, which libFuzzer calls with its inputs (make fuzz), and replay.c with those of the
 * corpus (make check). A target aborts when something is wrong that no sanitizer would see. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Always 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(3): it stays whatever the flags are. */
#define EXPECT(condition)                                                                                              \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			(void)fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)
