/* SPDX-License-Identifier: MIT */
/* UTF-8 that came from outside. */
#pragma once

#include <stddef.h>

/* The length of the well-formed UTF-8 sequence at p (Unicode 15, table 3-7), of which `len` bytes, at least 1, are there; 0 if there
 * is none. */
size_t utf8_sequence(const unsigned char *p, size_t len);
