/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check_main.h"
#include "handler/identity.h"
#include "scratch.h"

/* A user and groups that nobody has. */
#define USER 3999999001U
#define GROUP 3999999002U
#define OTHER_GROUP 3999999003U

static struct spawn_error error;

static void unknown(const char *user, const char *group, const char *words) {
	struct identity id = IDENTITY_INIT;
	char buf[300];

	ck_assert_int_eq(identity_resolve(user, group, &id, &error), -ESRCH);
	ck_assert_int_eq(error.step, SPAWN_IDENTITY);
	ck_assert_str_eq(spawn_error_format(&error, buf, sizeof(buf)), words);
	ck_assert(!spawn_error_is_resource(&error));
	ck_assert_ptr_null(id.name);
}

START_TEST(nobody_named_is_the_daemon_itself) {
	CLEANUP(identity_clear) struct identity id = IDENTITY_INIT;

	ck_assert_int_eq(identity_resolve(NULL, NULL, &id, &error), 0);
	ck_assert(!id.changes);
	ck_assert_ptr_null(identity_ids(&id));
	ck_assert_uint_eq(id.ids.uid, geteuid());
	ck_assert_uint_eq(id.ids.gid, getegid());
	ck_assert_ptr_nonnull(id.name);
	ck_assert_ptr_nonnull(id.home);
}
END_TEST

static bool has_group(const struct identity *id, gid_t gid) {
	for (size_t i = 0; i < id->ids.n_groups; i++)
		if (id->ids.groups[i] == gid)
			return true;
	return false;
}

/* "games" is on every Debian, and not who runs the tests. */
static void is_games(const char *name) {
	const struct passwd *p = getpwnam("games");
	CLEANUP(identity_clear) struct identity id = IDENTITY_INIT;

	if (!p)
		return;
	ck_assert_int_eq(identity_resolve(name, NULL, &id, &error), 0);
	ck_assert(id.changes);
	ck_assert_ptr_eq(identity_ids(&id), &id.ids);
	ck_assert_uint_eq(id.ids.uid, p->pw_uid);
	ck_assert_uint_eq(id.ids.gid, p->pw_gid);
	ck_assert_str_eq(id.name, "games");
	ck_assert_str_eq(id.home, p->pw_dir);
	ck_assert(has_group(&id, p->pw_gid));
}

START_TEST(users_by_name_and_by_number) {
	const struct passwd *p = getpwnam("games");
	char number[32];

	(void)snprintf(number, sizeof(number), "%u", p ? (unsigned)p->pw_uid : 0);
	is_games("games");
	is_games(number);
}
END_TEST

START_TEST(a_number_need_not_be_known) {
	CLEANUP(identity_clear) struct identity id = IDENTITY_INIT;

	ck_assert_int_eq(identity_resolve("3999999001", "3999999002", &id, &error), 0);
	ck_assert(id.changes);
	ck_assert_uint_eq(id.ids.uid, USER);
	ck_assert_uint_eq(id.ids.gid, GROUP);
	ck_assert_str_eq(id.name, "3999999001");
	ck_assert_str_eq(id.home, "/");
	ck_assert_uint_eq(id.ids.n_groups, 1);
	ck_assert_uint_eq(id.ids.groups[0], GROUP);
}
END_TEST

START_TEST(a_group_alone_brings_no_others) {
	CLEANUP(identity_clear) struct identity id = IDENTITY_INIT;

	ck_assert_int_eq(identity_resolve(NULL, "3999999002", &id, &error), 0);
	ck_assert(id.changes);
	ck_assert_uint_eq(id.ids.uid, geteuid());
	ck_assert_uint_eq(id.ids.gid, GROUP);
	ck_assert_uint_eq(id.ids.n_groups, 0);
}
END_TEST

START_TEST(unknown_names_are_told) {
	unknown("no-such-user", NULL, "unknown user no-such-user");
	unknown(NULL, "no-such-group", "unknown group no-such-group");
	unknown("0", "no-such-group", "unknown group no-such-group");
	/* The number that stands for "no change", and what is none. */
	unknown("4294967295", NULL, "unknown user 4294967295");
	unknown("12x", NULL, "unknown user 12x");
	unknown("-1", NULL, "unknown user -1");
	unknown("", NULL, "unknown user ");
}
END_TEST

static const gid_t groups[] = {OTHER_GROUP};
static const struct spawn_identity stranger = {.uid = USER, .gid = GROUP, .groups = groups, .n_groups = 1};

/* A file of this owner and mode (as root only), or of our own. */
static void make(const char *name, mode_t mode, uid_t uid, gid_t gid) {
	scratch_write(name, 0600, "");
	if (geteuid() == 0)
		ck_assert_int_eq(chown(name, uid, gid), 0);
	ck_assert_int_eq(chmod(name, mode), 0);
}

static int may(const char *path) {
	return identity_may(&stranger, AT_FDCWD, path, X_OK);
}

START_TEST(mode_bits_decide_for_another_user) {
	ck_assert_int_eq(chmod(scratch_path, 0755), 0);
	make("everybody", 0755, 0, 0);
	make("owner", 0700, 0, 0);
	ck_assert_int_eq(may("everybody"), 0);
	ck_assert_int_eq(may("owner"), -EACCES);
	ck_assert_int_eq(may("missing"), -ENOENT);
	ck_assert_int_eq(symlink("owner", "link"), 0);
	ck_assert_int_eq(may("link"), -EACCES);
	ck_assert_int_eq(identity_may(&stranger, AT_FDCWD, "everybody", R_OK | X_OK), 0);
	ck_assert_int_eq(identity_may(&stranger, AT_FDCWD, "everybody", W_OK), -EACCES);
	/* And along the way to it. */
	ck_assert_int_eq(chmod(scratch_path, 0700), 0);
	ck_assert_int_eq(may("everybody"), -EACCES);
}
END_TEST

START_TEST(the_first_class_that_fits_decides) {
	if (geteuid() != 0)
		return;
	ck_assert_int_eq(chmod(scratch_path, 0755), 0);
	make("own", 0100, USER, 0);
	make("own-group", 0010, 0, GROUP);
	make("other-group", 0010, 0, OTHER_GROUP);
	make("not-own", 0077, USER, GROUP);
	make("not-group", 0707, 0, OTHER_GROUP);
	ck_assert_int_eq(may("own"), 0);
	ck_assert_int_eq(may("own-group"), 0);
	ck_assert_int_eq(may("other-group"), 0);
	ck_assert_int_eq(may("not-own"), -EACCES);
	ck_assert_int_eq(may("not-group"), -EACCES);
}
END_TEST

START_TEST(root_may_execute_what_anybody_may) {
	static const struct spawn_identity root = {0};

	if (geteuid() != 0)
		return;
	make("some-bit", 0001, USER, GROUP);
	make("no-bit", 0666, 0, 0);
	ck_assert_int_eq(identity_may(&root, AT_FDCWD, "some-bit", X_OK), 0);
	ck_assert_int_eq(identity_may(&root, AT_FDCWD, "no-bit", X_OK), -EACCES);
	ck_assert_int_eq(identity_may(NULL, AT_FDCWD, "no-bit", X_OK), -EACCES);
}
END_TEST

static void add_cases(Suite *suite) {
	TCase *files = tcase_create("permissions");

	ADD_CASE(suite, "names", nobody_named_is_the_daemon_itself, users_by_name_and_by_number, a_number_need_not_be_known,
		 a_group_alone_brings_no_others, unknown_names_are_told);
	tcase_add_checked_fixture(files, scratch_setup, scratch_teardown);
	tcase_add_test(files, mode_bits_decide_for_another_user);
	tcase_add_test(files, the_first_class_that_fits_decides);
	tcase_add_test(files, root_may_execute_what_anybody_may);
	suite_add_tcase(suite, files);
}

CHECK_MAIN("identity", add_cases)
