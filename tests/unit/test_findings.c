/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/strbuf.h"
#include "check_main.h"
#include "ctl/findings.h"

static const struct finding_place here = {NULL, NULL}, at_broker = {"main", NULL}, at_queue = {"main", "two words"};

static void ck_shown(const struct findings *f, bool quiet, const char *expected) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	findings_append(f, quiet, false, &b);
	if (strcmp(strbuf_str(&b), expected) != 0)
		fprintf(stderr, "expected:\n%sgot:\n%s", expected, strbuf_str(&b));
	ck_assert_str_eq(strbuf_str(&b), expected);
}

START_TEST(are_grouped_by_broker_and_queue) {
	CLEANUP(findings_clear) struct findings f = FINDINGS_INIT;

	findings_add(&f, FINDING_OK, &at_queue, "handler", NULL, "can be executed");
	findings_add(&f, FINDING_WARNING, &here, "memory", "less of it", "%d MiB", 5);
	findings_add(&f, FINDING_OK, &at_broker, "connection", NULL, "works");
	findings_add(&f, FINDING_ERROR, &at_queue, "queue", "make it", "line\nbreak");
	ck_shown(&f, false,
		 "configuration and system\n"
		 "  warning  memory: 5 MiB\n"
		 "             -> less of it\n"
		 "broker main\n"
		 "  ok       connection: works\n"
		 "queue \"two words\", at broker main\n"
		 "  ok       handler: can be executed\n"
		 "  error    queue: line\\nbreak\n"
		 "             -> make it\n"
		 "1 error, 1 warning\n");
	ck_shown(&f, true,
		 "configuration and system\n"
		 "  warning  memory: 5 MiB\n"
		 "             -> less of it\n"
		 "queue \"two words\", at broker main\n"
		 "  error    queue: line\\nbreak\n"
		 "             -> make it\n"
		 "1 error, 1 warning\n");
}
END_TEST

START_TEST(nothing_wrong_is_nothing_to_say_when_quiet) {
	CLEANUP(findings_clear) struct findings f = FINDINGS_INIT;

	findings_add(&f, FINDING_OK, &at_broker, "connection", NULL, "works");
	ck_shown(&f, true, "");
	ck_shown(&f, false, "broker main\n  ok       connection: works\nno error\n");
	findings_add(&f, FINDING_WARNING, &at_broker, "address", NULL, "slow");
	ck_shown(&f, true, "broker main\n  warning  address: slow\n1 warning, no error\n");
}
END_TEST

START_TEST(json_has_all_members) {
	CLEANUP(findings_clear) struct findings f = FINDINGS_INIT;
	json_t *all, *quiet;
	char *text;

	findings_add(&f, FINDING_OK, &at_broker, "connection", NULL, "works");
	findings_add(&f, FINDING_WARNING, &(struct finding_place){"m\xff", "q"}, "queue", "do", "why");
	quiet = findings_to_json(&f, true);
	text = json_dumps(quiet, JSON_COMPACT);
	ck_assert_str_eq(text,
			 "{\"ok\":true,\"findings\":[{\"level\":\"warning\",\"broker\":\"m\\\\xff\",\"queue\":\"q\","
			 "\"what\":\"queue\",\"text\":\"why\",\"hint\":\"do\"}]}");
	free(text);
	json_decref(quiet);
	findings_add(&f, FINDING_ERROR, &here, "x", NULL, "y");
	all = findings_to_json(&f, false);
	ck_assert(json_is_false(json_object_get(all, "ok")));
	ck_assert_uint_eq(json_array_size(json_object_get(all, "findings")), 3);
	ck_assert(json_is_null(json_object_get(json_array_get(json_object_get(all, "findings"), 2), "hint")));
	json_decref(all);
}
END_TEST

START_TEST(status_tells_the_worst) {
	CLEANUP(findings_clear) struct findings f = FINDINGS_INIT;

	ck_assert_int_eq(findings_status(&f), 0);
	findings_add(&f, FINDING_WARNING, &here, "x", NULL, "y");
	ck_assert_int_eq(findings_status(&f), 0);
	findings_add(&f, FINDING_ERROR, &here, "x", NULL, "y");
	ck_assert_int_eq(findings_status(&f), EXIT_FAILURE);
	f.refused = true;
	ck_assert_int_eq(findings_status(&f), EX_NOPERM);
	f.unreachable = true;
	ck_assert_int_eq(findings_status(&f), EX_UNAVAILABLE);
}
END_TEST

START_TEST(another_process_has_found_some) {
	CLEANUP(findings_clear) struct findings f = FINDINGS_INIT, g = FINDINGS_INIT;
	json_t *list;

	findings_add(&f, FINDING_ERROR, &at_queue, "handler", NULL, "no");
	findings_add(&f, FINDING_OK, &at_queue, "handler", NULL, "yes");
	list = findings_to_json(&f, false);
	ck_assert(findings_take(&g, json_object_get(list, "findings")));
	ck_assert(!findings_take(&g, list));
	json_decref(list);
	ck_assert_uint_eq(g.n[FINDING_ERROR], 1);
	ck_assert_uint_eq(g.n[FINDING_OK], 1);
	ck_assert_uint_eq(json_array_size(g.list), 2);
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_CASE(suite, "findings", are_grouped_by_broker_and_queue, nothing_wrong_is_nothing_to_say_when_quiet,
		 json_has_all_members, status_tells_the_worst, another_process_has_found_some);
}

CHECK_MAIN("findings", add_cases)
