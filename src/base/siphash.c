/* SPDX-License-Identifier: MIT */
#include "base/siphash.h"

static uint64_t rotate(uint64_t x, unsigned bits) {
	return x << bits | x >> (64 - bits);
}

static void rounds(uint64_t v[4], int n) {
	while (n-- > 0) {
		v[0] += v[1];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[0] = rotate(v[0], 32);
		v[2] += v[3];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[2] = rotate(v[2], 32);
	}
}

/* n bytes (at most 8), the first the lowest, whatever the machine's order. */
static uint64_t load(const unsigned char *p, size_t n) {
	uint64_t word = 0;

	for (size_t i = 0; i < n; i++)
		word |= (uint64_t)p[i] << (8 * i);
	return word;
}

static void absorb(uint64_t v[4], uint64_t word) {
	v[3] ^= word;
	rounds(v, 2);
	v[0] ^= word;
}

uint64_t siphash(const uint64_t key[2], const void *data, size_t len) {
	/* "somepseudorandomlygeneratedbytes" */
	uint64_t v[4] = {key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d),
			 key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573)};
	const unsigned char *p = data;
	size_t left = len;

	for (; left >= 8; p += 8, left -= 8)
		absorb(v, load(p, 8));
	absorb(v, load(p, left) | (uint64_t)len << 56);
	v[2] ^= 0xff;
	rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
