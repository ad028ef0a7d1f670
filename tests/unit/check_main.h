/* SPDX-License-Identifier: MIT */
/* The main program of every unit test: one suite, run and told in full. */
#pragma once

#include <check.h>
#include <stdlib.h>

#define CHECK_MAIN(name, add_cases)                                                                                    \
	int main(void) {                                                                                               \
		Suite *suite = suite_create(name);                                                                     \
		SRunner *runner;                                                                                       \
		int failed;                                                                                            \
                                                                                                                       \
		add_cases(suite);                                                                                      \
		runner = srunner_create(suite);                                                                        \
		srunner_run_all(runner, CK_NORMAL);                                                                    \
		failed = srunner_ntests_failed(runner);                                                                \
		srunner_free(runner);                                                                                  \
		return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;                                                      \
	}

/* A test case of one or more test functions. */
static inline void add_case(Suite *suite, const char *name, const TTest *const *tests, size_t n) {
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 60);
	for (size_t i = 0; i < n; i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(suite, tc);
}
/* The same, each between its own `setup` and `teardown`. */
static inline void add_fixture_case(Suite *suite, const char *name, SFun setup, SFun teardown, const TTest *const *tests,
				    size_t n) {
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	for (size_t i = 0; i < n; i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(suite, tc);
}
#define ADD_CASE(suite, name, ...)                                                                                     \
	add_case(suite, name, (const TTest *const[]){__VA_ARGS__},                                                     \
		 sizeof((const TTest *const[]){__VA_ARGS__}) / sizeof(const TTest *))
#define ADD_FIXTURE_CASE(suite, name, setup, teardown, ...)                                                            \
	add_fixture_case(suite, name, setup, teardown, (const TTest *const[]){__VA_ARGS__},                            \
			 sizeof((const TTest *const[]){__VA_ARGS__}) / sizeof(const TTest *))
