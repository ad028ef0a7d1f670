/* SPDX-License-Identifier: MIT */
#include "check_main.h"
START_TEST(x) {
}
END_TEST
static void add_cases(Suite *suite) {
	ADD_CASE(suite, "x", x);
}
CHECK_MAIN("metrics", add_cases)
