/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/strbuf.h"
#include "check_main.h"
#include "ctl/examine.h"

#define MEBI (UINT64_C(1024) * 1024)

static struct config_queue queues[3];
static struct config config;

static void set_queue(size_t i, unsigned concurrency, uint64_t memory, const char *user) {
	queues[i] = (struct config_queue){.name = (char *)"q", .concurrency = concurrency, .prefetch = concurrency};
	queues[i].handler.user = (char *)user;
	queues[i].handler.limits.has_memory = memory > 0;
	queues[i].handler.limits.memory = memory;
}

static void set_config(unsigned max_handlers, size_t n_queues) {
	config = (struct config){.max_handlers = max_handlers,
				 .max_message_size = MEBI,
				 .n_brokers = 2,
				 .queues = queues,
				 .n_queues = n_queues};
}

START_TEST(demand_is_that_of_the_largest_load) {
	struct demand d;

	set_queue(0, 4, 10 * MEBI, "www-data");
	set_queue(1, 3, 0, "root");
	set_queue(2, 2, 100 * MEBI, NULL);
	set_config(64, 3);
	demand_of(&config, &d);
	ck_assert_uint_eq(d.handlers, 9);
	ck_assert_uint_eq(d.users, 6);
	ck_assert_uint_eq(d.handler_memory, (4 * 10 + 2 * 100) * MEBI);
	ck_assert_uint_eq(d.body_memory, 9 * MEBI);
	/* The largest come first. */
	set_config(3, 3);
	demand_of(&config, &d);
	ck_assert_uint_eq(d.handlers, 3);
	ck_assert_uint_eq(d.users, 3);
	ck_assert_uint_eq(d.handler_memory, (2 * 100 + 1 * 10) * MEBI);
}
END_TEST

START_TEST(demand_does_not_overflow) {
	struct demand d;

	set_queue(0, 65535, UINT64_MAX / 2, NULL);
	set_config(65535, 1);
	config.max_message_size = UINT64_MAX / 2;
	demand_of(&config, &d);
	ck_assert_uint_eq(d.handler_memory, UINT64_MAX);
	ck_assert_uint_eq(d.body_memory, UINT64_MAX);
	set_config(64, 0);
	demand_of(&config, &d);
	ck_assert_uint_eq(d.handlers, 0);
	ck_assert_uint_eq(d.handler_memory, 0);
}
END_TEST

/* The text of the only finding. */
static const char *compared(const struct capacity *c, const struct demand *d, struct findings *f, const char *level) {
	json_t *finding;

	findings_clear(f);
	capacity_compare(c, d, f);
	ck_assert_uint_eq(json_array_size(f->list), 1);
	finding = json_array_get(f->list, 0);
	ck_assert_str_eq(json_string_value(json_object_get(finding, "level")), level);
	return json_string_value(json_object_get(finding, "text"));
}

START_TEST(what_is_too_little_is_told_with_figures) {
	const struct demand d = {.handlers = 20,
				 .users = 10,
				 .descriptors = 300,
				 .handler_memory = 2048 * MEBI,
				 .body_memory = 512 * MEBI};
	const struct capacity enough = {.descriptors = 300, .processes = 10, .tasks = 20, .memory = 2048 * MEBI};
	CLEANUP(findings_clear) struct findings f = FINDINGS_INIT;
	struct capacity c = enough;

	ck_assert_ptr_nonnull(strstr(compared(&c, &d, &f, "ok"), "20 handlers"));
	c.descriptors = 299;
	ck_assert_str_eq(compared(&c, &d, &f, "warning"),
			 "the daemon may need up to 300 file descriptors, and the limit here is 299");
	c = enough;
	c.processes = 9;
	ck_assert_str_eq(compared(&c, &d, &f, "warning"),
			 "up to 10 handlers may run at once, and a user may have 9 processes here");
	c = enough;
	c.tasks = 19;
	ck_assert_str_eq(
		compared(&c, &d, &f, "warning"),
		"up to 20 handlers may run at once, and the control group may have 19 processes and threads here");
	c = enough;
	c.memory = 1536 * MEBI + 1;
	ck_assert_str_eq(compared(&c, &d, &f, "warning"),
			 "handlers may take 2G at once by their limits, and there is 1536M");
	c.memory = 500 * MEBI;
	findings_clear(&f);
	capacity_compare(&c, &d, &f);
	ck_assert_uint_eq(f.n[FINDING_WARNING], 2);
	ck_assert_uint_eq(f.n[FINDING_ERROR], 0);
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_CASE(suite, "capacity", demand_is_that_of_the_largest_load, demand_does_not_overflow,
		 what_is_too_little_is_told_with_figures);
}

CHECK_MAIN("capacity", add_cases)
