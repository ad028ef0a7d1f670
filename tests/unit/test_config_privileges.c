/* SPDX-License-Identifier: MIT */
/* What a handler is to be, and what the daemon must be for that. */
#include <check.h>
#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "config/config.h"
#include "config/privileges.h"
#include "config_files.h"

static void accept_as(const struct privileges *p, const char *defaults, const char *handler) {
	write_queue(defaults, handler, "");
	config_unref(load_for("a.conf", p, ""));
}

static void refuse_as(const struct privileges *p, const char *defaults, const char *handler, const char *expected) {
	write_queue(defaults, handler, "");
	refuse_for("a.conf", p, expected);
}

#define AS_ROOT                                                                                                        \
	"queues[0].handler.user: the handler would run as root: expected user = \"NAME\" (or user = \"root\" where "   \
	"it "                                                                                                          \
	"really has to)\n"

START_TEST(root_runs_nothing_as_root_unless_told_to) {
	refuse_as(&roots_privileges, "", "", "a.conf:4: " AS_ROOT);
	refuse_as(&roots_privileges, "", "group = \"nogroup\";", "a.conf:4: " AS_ROOT);
	refuse_as(&roots_privileges, "handler = { timeout = 1; };", "", "a.conf:4: " AS_ROOT);
	accept_as(&roots_privileges, "", "user = \"nobody\";");
	accept_as(&roots_privileges, "", "user = \"root\";");
	accept_as(&roots_privileges, "", "user = \"0\";");
	accept_as(&roots_privileges, "handler = { user = \"nobody\"; };", "");
	accept_as(&roots_privileges, "",
		  "user = \"nobody\"; group = \"daemon\"; nice = -20; limits = { files = 1000000; };");
	/* It is the user who runs the daemon that counts. */
	accept_as(&nobodys_privileges, "", "");
	/* The one queue that says nothing is named, and the others are not. */
	scratch_write("a.conf", 0640,
		      "queues = ( { name = \"a\"; handler = { command = [ \"/bin/true\" ]; user = \"nobody\"; }; },\n"
		      "{ name = \"b\"; handler = { command = [ \"/bin/true\" ]; }; } );\n");
	refuse_for(
		"a.conf", &roots_privileges,
		"a.conf:2: queues[1].handler.user: the handler would run as root: expected user = \"NAME\" (or user = "
		"\"root\" where it really has to)\n");
	/* A handler that is missing is missing, and nothing else. */
	scratch_write("a.conf", 0640, "queues = ( {\nname = \"a\"; } );\n");
	refuse_for(
		"a.conf", &roots_privileges,
		"a.conf:1: queues[0].handler: missing: expected a group (the process that is run for each message)\n");
	scratch_write("a.conf", 0640, "queues = ( {\nname = \"a\"; handler = 5; } );\n");
	refuse_for("a.conf", &roots_privileges, "a.conf:2: queues[0].handler: expected a group, found 5\n");
}
END_TEST

#define NOBODY "the daemon runs as nobody (uid 65534), and may not run a handler as another "
#define USER "a.conf:5: queues[0].handler.user: " NOBODY "user: that takes root, or CAP_SETUID and CAP_SETGID\n"
#define GROUP "a.conf:5: queues[0].handler.group: " NOBODY "group: that takes root, or CAP_SETGID\n"

START_TEST(another_user_takes_a_privilege) {
	struct privileges p = nobodys_privileges;

	refuse_as(&p, "", "user = \"root\";", USER);
	refuse_as(&p, "", "user = \"daemon\";", USER);
	refuse_as(&p, "", "user = \"0\";", USER);
	accept_as(&p, "", "user = \"nobody\";");
	accept_as(&p, "", "user = \"65534\";");
	refuse_as(&p, "", "group = \"daemon\";", GROUP);
	accept_as(&p, "", "group = \"nogroup\";");
	refuse_as(&p, "handler = { user = \"daemon\"; };", "",
		  "a.conf:1: queues[0].handler.user: " NOBODY "user: that takes root, or CAP_SETUID and CAP_SETGID\n");
	/* Another user has other groups. */
	p.may_set_user = true;
	refuse_as(&p, "", "user = \"daemon\";", USER);
	p.may_set_groups = true;
	accept_as(&p, "", "user = \"daemon\";");
	p.may_set_user = false;
	refuse_as(&p, "", "user = \"daemon\";", USER);
	accept_as(&p, "", "group = \"daemon\";");
	/* Root that has been left no capability is as powerless as anybody. */
	p = (struct privileges){.hard_limits = NO_HARD_LIMITS};
	refuse_as(&p, "", "user = \"nobody\";",
		  "a.conf:5: queues[0].handler.user: the daemon runs as root (uid 0), and may not run a handler as "
		  "another "
		  "user: that takes root, or CAP_SETUID and CAP_SETGID\n");
	accept_as(&p, "", "user = \"root\";");
	p.uid = 4000000000;
	refuse_as(&p, "", "user = \"nobody\";",
		  "a.conf:5: queues[0].handler.user: the daemon runs as uid 4000000000, and may not run a handler as "
		  "another "
		  "user: that takes root, or CAP_SETUID and CAP_SETGID\n");
}
END_TEST

START_TEST(a_user_that_nobody_knows_is_no_error) {
	accept_as(&roots_privileges, "", "user = \"no-such-user\"; group = \"no-such-group\";");
	accept_as(&nobodys_privileges, "", "user = \"no-such-user\"; group = \"no-such-group\";");
	accept_as(&roots_privileges, "", "user = \"4294967294\"; group = \"4294967294\";");
	refuse_as(&roots_privileges, "", "user = \"4294967295\";\ngroup = \"99999999999999999999\";",
		  "a.conf:5: queues[0].handler.user: expected a user's name, or a number below 4294967295, found the "
		  "string "
		  "\"4294967295\"\n"
		  "a.conf:6: queues[0].handler.group: expected a group's name, or a number below 4294967295, found the "
		  "string "
		  "\"99999999999999999999\"\n");
	refuse_as(&nobodys_privileges, "", "user = 0;",
		  "a.conf:5: queues[0].handler.user: expected a string of 1 to 255 bytes, found 0\n");
}
END_TEST

START_TEST(a_nice_value_may_take_a_privilege) {
	struct privileges p = nobodys_privileges;

	accept_as(&p, "", "nice = 0;");
	accept_as(&p, "", "nice = 19;");
	refuse_as(&p, "", "nice = -1;",
		  "a.conf:5: queues[0].handler.nice: -1 is less than the daemon's own 0: that takes root, CAP_SYS_NICE "
		  "or a limit "
		  "for it (LimitNICE=-1)\n");
	p.least_nice = -5;
	accept_as(&p, "", "nice = -5;");
	refuse_as(&p, "", "nice = -6;",
		  "a.conf:5: queues[0].handler.nice: -6 is less than the daemon's own 0: that takes root, CAP_SYS_NICE "
		  "or a limit "
		  "for it (LimitNICE=-6)\n");
	p.may_be_nice = true;
	accept_as(&p, "", "nice = -20;");
	p = nobodys_privileges;
	p.nice = p.least_nice = 10;
	accept_as(&p, "", "nice = 10;");
	refuse_as(&p, "", "nice = 5;",
		  "a.conf:5: queues[0].handler.nice: 5 is less than the daemon's own 10: that takes root, CAP_SYS_NICE "
		  "or a limit "
		  "for it (LimitNICE=5)\n");
}
END_TEST

START_TEST(a_limit_may_take_a_privilege) {
	static const char all[] =
		"limits = {\nmemory = \"64M\";\ncpu = 60;\nfiles = 64;\nprocesses = 10;\nfile_size = 10;\ncore = 1; };";
	struct privileges p = nobodys_privileges;

	accept_as(&p, "", all);
	p.hard_limits[RLIMIT_AS] = 64 << 20;
	p.hard_limits[RLIMIT_CPU] = 60;
	p.hard_limits[RLIMIT_NOFILE] = 64;
	p.hard_limits[RLIMIT_NPROC] = 10;
	p.hard_limits[RLIMIT_FSIZE] = 10;
	p.hard_limits[RLIMIT_CORE] = 1;
	accept_as(&p, "", all);
	p.hard_limits[RLIMIT_AS] = 63 << 20;
	p.hard_limits[RLIMIT_CPU] = 59;
	p.hard_limits[RLIMIT_NOFILE] = 63;
	p.hard_limits[RLIMIT_NPROC] = 9;
	p.hard_limits[RLIMIT_FSIZE] = 9;
	p.hard_limits[RLIMIT_CORE] = 0;
	refuse_as(&p, "", all,
		  "a.conf:6: queues[0].handler.limits.memory: 64M is more than the daemon's own hard limit of 63M: "
		  "that takes "
		  "root or CAP_SYS_RESOURCE\n"
		  "a.conf:7: queues[0].handler.limits.cpu: 1min is more than the daemon's own hard limit of 59s: that "
		  "takes "
		  "root or CAP_SYS_RESOURCE\n"
		  "a.conf:8: queues[0].handler.limits.files: 64 is more than the daemon's own hard limit of 63: that "
		  "takes "
		  "root or CAP_SYS_RESOURCE\n"
		  "a.conf:9: queues[0].handler.limits.processes: 10 is more than the daemon's own hard limit of 9: "
		  "that takes "
		  "root or CAP_SYS_RESOURCE\n"
		  "a.conf:10: queues[0].handler.limits.file_size: 10 is more than the daemon's own hard limit of 9: "
		  "that takes "
		  "root or CAP_SYS_RESOURCE\n"
		  "a.conf:11: queues[0].handler.limits.core: 1 is more than the daemon's own hard limit of 0: that "
		  "takes root or "
		  "CAP_SYS_RESOURCE\n");
	p.may_exceed_limits = true;
	accept_as(&p, "", all);
	p.may_exceed_limits = false;
	refuse_as(&p, "handler = { limits = { files = 64; cpu = 1; }; };", "limits = { cpu = 2; };",
		  "a.conf:1: queues[0].handler.limits.files: 64 is more than the daemon's own hard limit of 63: that "
		  "takes root "
		  "or CAP_SYS_RESOURCE\n");
}
END_TEST

START_TEST(a_process_knows_its_own_privileges) {
	struct privileges p;
	struct rlimit files;

	ck_assert_int_eq(privileges_look(&p), 0);
	ck_assert_uint_eq(p.uid, geteuid());
	ck_assert_uint_eq(p.gid, getegid());
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
	ck_assert_uint_eq(p.hard_limits[RLIMIT_NOFILE], files.rlim_max);
	ck_assert_int_le(p.least_nice, p.nice);
	if (geteuid() == 0) {
		struct rlimit nice = {25, 30};
		bool may_raise = p.may_exceed_limits;

		/* Check runs each test in a process of its own. */
		ck_assert(p.may_set_user && p.may_set_groups);
		ck_assert_int_eq(setrlimit(RLIMIT_NICE, &nice), may_raise ? 0 : -1);
		files.rlim_cur = files.rlim_max = 100;
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
		ck_assert_int_eq(setgid(65534), 0);
		ck_assert_int_eq(setuid(65534), 0);
		ck_assert_int_eq(privileges_look(&p), 0);
		ck_assert_uint_eq(p.uid, 65534);
		ck_assert_uint_eq(p.gid, 65534);
		ck_assert(!p.may_set_user && !p.may_set_groups && !p.may_be_nice && !p.may_exceed_limits);
		if (may_raise)
			ck_assert_int_eq(p.least_nice, p.nice < -5 ? p.nice : -5);
		ck_assert_uint_eq(p.hard_limits[RLIMIT_NOFILE], 100);
	}
}
END_TEST

START_TEST(users_are_found_by_name_and_number) {
	uid_t uid;
	gid_t gid;

	ck_assert_int_eq(privileges_find_user("root", &uid), 0);
	ck_assert_uint_eq(uid, 0);
	ck_assert_int_eq(privileges_find_user("007", &uid), 0);
	ck_assert_uint_eq(uid, 7);
	ck_assert_int_eq(privileges_find_group("daemon", &gid), 0);
	ck_assert_uint_eq(gid, 1);
	ck_assert_int_eq(privileges_find_user("4294967294", &uid), 0);
	ck_assert_int_eq(privileges_find_user("4294967295", &uid), -EINVAL);
	ck_assert_int_eq(privileges_find_user("18446744073709551616", &uid), -EINVAL);
	ck_assert_int_eq(privileges_find_user("no-such-user", &uid), -ENOENT);
	ck_assert_int_eq(privileges_find_group("no-such-group", &gid), -ENOENT);
	ck_assert_int_eq(privileges_find_user("-1", &uid), -ENOENT);
	ck_assert_int_eq(privileges_find_user("", &uid), -ENOENT);
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_SCRATCH_CASE(suite, "privileges", root_runs_nothing_as_root_unless_told_to, another_user_takes_a_privilege,
			 a_user_that_nobody_knows_is_no_error, a_nice_value_may_take_a_privilege,
			 a_limit_may_take_a_privilege);
	/* One of them gives up what a scratch folder could be removed with. */
	ADD_CASE(suite, "process", a_process_knows_its_own_privileges, users_are_found_by_name_and_number);
}

CHECK_MAIN("config privileges", add_cases)
