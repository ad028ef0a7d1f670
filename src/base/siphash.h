/* SPDX-License-Identifier: MIT */
/* A keyed hash for tables whose keys come from outside: who does not know the key cannot choose strings that collide.
 * Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* SipHash-2-4 of len bytes. */
uint64_t siphash(const uint64_t key[2], const void *data, size_t len);
