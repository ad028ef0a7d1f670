/* SPDX-License-Identifier: MIT */
/* Secrets that the service manager hands over. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/config.h"
#include "config_files.h"

/* A folder "credentials" as systemd makes one. */
static void make_credentials(void) {
	CLEANUP(strbuf_free) struct strbuf path = STRBUF_INIT;

	ck_assert_int_eq(mkdir("credentials", 0755), 0);
	strbuf_printf(&path, "%s/credentials", scratch_path);
	ck_assert_int_eq(setenv("CREDENTIALS_DIRECTORY", strbuf_str(&path), 1), 0);
}

static void without_credentials(void) {
	ck_assert_int_eq(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

/* The password that the setting (in line 2) leads to. */
static void assert_password(const char *setting, const char *password, const char *file) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	struct config *c;

	strbuf_printf(&b, "broker = {\n%s };\n" QUEUES, setting);
	c = load_text(strbuf_str(&b));
	ck_assert_str_eq(c->brokers[0].addresses[0].password, password);
	ck_assert_uint_eq(c->n_secret_files, 1);
	strbuf_reset(&b);
	strbuf_printf(&b, "%s/credentials/%s", scratch_path, file);
	ck_assert_str_eq(c->secret_files[0], strbuf_str(&b));
	config_unref(c);
}

/* The configuration with this setting in line 2 is refused. "@" stands for the scratch folder. */
static void refuse_setting(const char *setting, const char *expected) {
	CLEANUP(strbuf_free) struct strbuf content = STRBUF_INIT, text = STRBUF_INIT;

	strbuf_printf(&content, "broker = { url = \"amqps://h\";\n%s };\n" QUEUES, setting);
	for (; *expected; expected++) {
		if (*expected == '@')
			strbuf_append_str(&text, scratch_path);
		else
			strbuf_append_char(&text, *expected);
	}
	refuse_text(strbuf_str(&content), strbuf_str(&text));
}

START_TEST(the_password_is_the_first_line_of_the_credential) {
	make_credentials();
	scratch_write("credentials/amqp-execd_main", 0400, "from the folder\nsecond line\n");
	assert_password("credential = \"main\";", "from the folder", "amqp-execd_main");
	assert_password("credential = \"amqp-execd_main\";", "from the folder", "amqp-execd_main");
	/* One that the unit names itself goes first. */
	scratch_write("credentials/main", 0440, "by its name");
	assert_password("credential = \"main\"; url = \"amqp://u@h\";", "by its name", "main");
}
END_TEST

START_TEST(a_credential_that_is_not_there_is_refused) {
	make_credentials();
	refuse_setting("credential = \"main\";",
		       "a.conf:2: broker.credential: there is no credential \"main\" (nor "
		       "\"amqp-execd_main\") in @/credentials: the service manager hands over what is there when the "
		       "service starts, so a new one takes a restart\n");
	scratch_write("credentials/main", 0400, "\n");
	refuse_setting("credential = \"main\";",
		       "a.conf:2: broker.credential: the file's first line is empty: expected a password there\n");
	ck_assert_int_eq(chmod("credentials/main", 0602), 0);
	refuse_setting("credential = \"main\";",
		       "a.conf:2: broker.credential: \"@/credentials/main\" is writable by everybody (mode "
		       "0602): take that right away with chmod o-w\n");
	without_credentials();
	refuse_setting("credential = \"main\";",
		       "a.conf:2: broker.credential: there are no credentials ($CREDENTIALS_DIRECTORY): "
		       "expected LoadCredential= or SetCredential= in the unit, see systemd.exec(5)\n");
	ck_assert_int_eq(setenv("CREDENTIALS_DIRECTORY", "credentials", 1), 0);
	refuse_setting("credential = \"main\";",
		       "a.conf:2: broker.credential: there are no credentials ($CREDENTIALS_DIRECTORY): "
		       "expected LoadCredential= or SetCredential= in the unit, see systemd.exec(5)\n");
}
END_TEST

START_TEST(a_credential_has_a_name_and_no_path) {
	static const char *const bad[] = {"../a.conf", "a/b", ".", "..", "/etc/passwd"};
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	make_credentials();
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		strbuf_reset(&b);
		strbuf_printf(&b, "credential = \"%s\";", bad[i]);
		refuse_setting(strbuf_str(&b),
			       "a.conf:2: broker.credential: expected the name of a credential, without a slash\n");
		strbuf_reset(&b);
		strbuf_printf(&b, "tls = { ca_file = \"%%d/%s\"; };", bad[i]);
		refuse_setting(strbuf_str(&b),
			       "a.conf:2: broker.tls.ca_file: expected the name of a credential, without a slash\n");
	}
	refuse_setting("credential = \"\";",
		       "a.conf:2: broker.credential: expected the name of a credential, found the string \"\"\n");
	refuse_setting("credential = [];",
		       "a.conf:2: broker.credential: expected the name of a credential, found an empty array\n");
	refuse_setting("tls = { ca_file = \"%d/\"; };",
		       "a.conf:2: broker.tls.ca_file: expected the name of a credential, without a slash\n");
	refuse_setting("tls = { ca_file = \"%dx\"; };",
		       "a.conf:2: broker.tls.ca_file: expected the absolute path of a file, or "
		       "\"%d/NAME\" for a credential, found the string \"%dx\"\n");
}
END_TEST

START_TEST(one_key_gives_the_password) {
	make_credentials();
	scratch_write("credentials/a", 0400, "a\n");
	refuse_setting("credential = \"a\"; password = \"b\";",
		       "a.conf:2: broker.credential: give either this or \"password\", not both\n");
	refuse_setting("credential = \"a\"; password_file = \"/nonexistent\"; password = \"b\";",
		       "a.conf:2: broker.password_file: give either this or \"password\", not both\n"
		       "a.conf:2: broker.password_file: \"/nonexistent\" cannot be opened: No such file or directory\n"
		       "a.conf:2: broker.credential: give either this or \"password\", not both\n"
		       "a.conf:2: broker.credential: give either this or \"password_file\", not both\n");
}
END_TEST

#define TLS                                                                                                            \
	"broker = { url = \"amqps://h\"; tls = { ca_file = \"%d/ca\"; cert_file = \"%d/cert\"; key_file = "            \
	"\"%d/key\";\n"                                                                                                \
	"key_password_file = \"%d/word\"; }; };\n"

static void assert_file(const char *path, const char *name) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	strbuf_printf(&b, "%s/credentials/%s", scratch_path, name);
	ck_assert_str_eq(path, strbuf_str(&b));
}

START_TEST(certificates_and_keys_may_be_credentials) {
	struct config *c;

	make_credentials();
	scratch_write("credentials/ca", 0400, "x\n");
	scratch_write("credentials/cert", 0400, "x\n");
	scratch_write("credentials/amqp-execd_key", 0400, "x\n");
	scratch_write("credentials/amqp-execd_word", 0400, "password\n");
	c = load_text(TLS QUEUES);
	assert_file(c->brokers[0].tls.ca_file, "ca");
	assert_file(c->brokers[0].tls.cert_file, "cert");
	assert_file(c->brokers[0].tls.key_file, "amqp-execd_key");
	assert_file(c->brokers[0].tls.key_password_file, "amqp-execd_word");
	ck_assert_str_eq(c->brokers[0].tls.key_password, "password");
	ck_assert_uint_eq(c->n_secret_files, 2);
	config_unref(c);
	ck_assert_int_eq(remove("credentials/ca"), 0);
	refuse_setting("tls = { ca_file = \"%d/ca\"; };",
		       "a.conf:2: broker.tls.ca_file: there is no credential \"ca\" (nor "
		       "\"amqp-execd_ca\") in @/credentials: the service manager hands over what is there when the "
		       "service starts, so a new one takes a restart\n");
}
END_TEST

/* Examines a.conf, and says what is noted of it. */
static char *examine(int result, struct config **ret) {
	struct config_problems problems = {0};
	char *text;

	ck_assert_int_eq(config_examine("a.conf", &problems, ret), result);
	text = problems_text(&problems);
	config_problems_clear(&problems);
	return text;
}

#define OUTSIDE "warning: not looked at: only the service has credentials ($CREDENTIALS_DIRECTORY)\n"

/* Without queues, so that it does not matter who runs the test. */
static void write_examined(const char *rest) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	(void)mkdir("d", 0755);
	strbuf_printf(&b, "include_dir = \"%s/d\";\n%s", scratch_path, rest);
	scratch_write("a.conf", 0640, strbuf_str(&b));
}

START_TEST(who_asks_outside_of_the_service_is_warned) {
	struct config *c = NULL;
	char *text;

	without_credentials();
	write_examined("broker = { credential = \"main\"; };\n");
	text = examine(0, &c);
	ck_assert_str_eq(text, "a.conf:2: broker.credential: " OUTSIDE);
	free(text);
	c = config_unref(c);
	write_examined(TLS);
	text = examine(0, &c);
	ck_assert_str_eq(text,
			 "a.conf:2: broker.tls.ca_file: " OUTSIDE "a.conf:2: broker.tls.cert_file: " OUTSIDE
			 "a.conf:2: broker.tls.key_file: " OUTSIDE "a.conf:3: broker.tls.key_password_file: " OUTSIDE);
	ck_assert_str_eq(c->brokers[0].tls.ca_file, "%d/ca");
	ck_assert_str_eq(c->brokers[0].tls.key_password_file, "%d/word");
	ck_assert_ptr_null(c->brokers[0].tls.key_password);
	free(text);
	c = config_unref(c);
	/* What is wrong is wrong there, too. */
	write_examined("broker = { credential = \"a/b\"; };\n");
	text = examine(-EINVAL, &c);
	ck_assert_str_eq(text, "a.conf:2: broker.credential: expected the name of a credential, without a slash\n");
	free(text);
	make_credentials();
	write_examined("broker = { credential = \"main\"; };\n");
	text = examine(-EINVAL, &c);
	ck_assert_ptr_nonnull(strstr(text, "there is no credential \"main\""));
	free(text);
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_SCRATCH_CASE(suite, "credentials", the_password_is_the_first_line_of_the_credential,
			 a_credential_that_is_not_there_is_refused, a_credential_has_a_name_and_no_path,
			 one_key_gives_the_password, certificates_and_keys_may_be_credentials,
			 who_asks_outside_of_the_service_is_warned);
}

CHECK_MAIN("config credentials", add_cases)
