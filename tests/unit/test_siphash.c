/* SPDX-License-Identifier: MIT */
#include <stdint.h>

#include "check_main.h"
#include "base/siphash.h"

/* The vectors of the reference implementation: key 00 01 ... 0f, input of n bytes 00 01 ... */
START_TEST(reference_vectors) {
	static const struct {
		size_t len;
		uint64_t hash;
	} vectors[] = {
		{0, UINT64_C(0x726fdb47dd0e0e31)},  {1, UINT64_C(0x74f839c593dc67fd)},
		{7, UINT64_C(0xab0200f58b01d137)},  {8, UINT64_C(0x93f5f5799a932462)},
		{15, UINT64_C(0xa129ca6149be45e5)}, {63, UINT64_C(0x958a324ceb064572)},
	};
	static const uint64_t key[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
	unsigned char input[64];

	for (size_t i = 0; i < sizeof(input); i++)
		input[i] = (unsigned char)i;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		ck_assert_uint_eq(siphash(key, input, vectors[i].len), vectors[i].hash);
}
END_TEST

START_TEST(key_matters) {
	static const uint64_t zero[2] = {0, 0}, low[2] = {1, 0}, high[2] = {0, 1};

	ck_assert_uint_ne(siphash(zero, "a", 1), siphash(low, "a", 1));
	ck_assert_uint_ne(siphash(zero, "a", 1), siphash(high, "a", 1));
	ck_assert_uint_ne(siphash(low, "a", 1), siphash(high, "a", 1));
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_CASE(suite, "siphash", reference_vectors, key_matters);
}

CHECK_MAIN("siphash", add_cases)
