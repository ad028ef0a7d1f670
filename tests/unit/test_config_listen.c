/* SPDX-License-Identifier: MIT */
/* Where the daemon can be reached: control and monitor. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config_files.h"

/* The path that the control socket gets with this in the environment (NULL: nothing) and this setting. */
static void assert_socket(const char *folders, const char *setting, const char *expected, bool given) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	struct config *c;

	ck_assert_int_eq(folders ? setenv("RUNTIME_DIRECTORY", folders, 1) : unsetenv("RUNTIME_DIRECTORY"), 0);
	strbuf_printf(&b, "%s\n" QUEUES, setting);
	c = load_text(strbuf_str(&b));
	ck_assert_str_eq(c->control.socket, expected);
	ck_assert_int_eq(c->control.has_socket, given);
	config_unref(c);
}

/* A path of so many bytes. Static. */
static const char *path_of_length(size_t len) {
	static char path[256];

	memset(path, 'x', len);
	path[0] = '/';
	path[len] = '\0';
	return path;
}

START_TEST(the_control_socket_is_where_systemd_says) {
	assert_socket(NULL, "", "/run/amqp-execd/control.sock", false);
	assert_socket(NULL, "control = { };", "/run/amqp-execd/control.sock", false);
	assert_socket("/run/other", "", "/run/other/control.sock", false);
	assert_socket("/run/one:/run/two", "", "/run/one/control.sock", false);
	assert_socket("", "", "/run/amqp-execd/control.sock", false);
	assert_socket("relative", "", "/run/amqp-execd/control.sock", false);
	assert_socket(path_of_length(107 - strlen("/control.sock") + 1), "", "/run/amqp-execd/control.sock", false);
	assert_socket("/run/other", "control = { socket = \"/tmp/here\"; };", "/tmp/here", true);
	assert_socket("/run/other", "control = { socket = \"\"; };", "", true);
}
END_TEST

START_TEST(a_path_that_no_socket_can_have_is_refused) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;

	strbuf_printf(&b, "control = { socket = \"%s\"; };", path_of_length(107));
	assert_socket(NULL, strbuf_str(&b), path_of_length(107), true);
	strbuf_reset(&b);
	strbuf_printf(&b, "control = { socket = \"%s\"; };\n" QUEUES, path_of_length(108));
	scratch_write("a.conf", 0640, strbuf_str(&b));
	strbuf_reset(&b);
	strbuf_printf(
		&b,
		"a.conf:1: control.socket: expected an absolute path of at most 107 bytes, or \"\" for none, found the "
		"string \"%.60s\"... of 108 bytes\n",
		path_of_length(108));
	refuse("a.conf", strbuf_str(&b));
	refuse_text(
		"control = { socket = \"control.sock\"; };\n" QUEUES,
		"a.conf:1: control.socket: expected an absolute path of at most 107 bytes, or \"\" for none, found the "
		"string \"control.sock\"\n");
	refuse_text("control = { socket = true; };\n" QUEUES, "a.conf:1: control.socket: expected an absolute path of "
							      "at most 107 bytes, or \"\" for none, found true\n");
}
END_TEST

START_TEST(the_group_of_the_control_socket_exists) {
	struct config *c = load_text(QUEUES);

	ck_assert_ptr_null(c->control.group);
	config_unref(c);
	c = load_text("control = { group = \"root\"; };\n" QUEUES);
	ck_assert_str_eq(c->control.group, "root");
	config_unref(c);
	config_unref(load_text("control = { group = \"12345\"; };\n" QUEUES));
	refuse_text("control = {\ngroup = \"no such group\"; };\n" QUEUES,
		    "a.conf:2: control.group: there is no group \"no such group\"\n");
	refuse_text("control = { group = \"4294967295\"; };\n" QUEUES,
		    "a.conf:1: control.group: expected a group's name, or a number below 4294967295, found the string "
		    "\"4294967295\"\n");
}
END_TEST

static void assert_listen(const struct config_listen *l, const char *host, unsigned port) {
	ck_assert_str_eq(l->host, host);
	ck_assert_uint_eq(l->port, port);
}

START_TEST(addresses_of_the_monitor_are_taken_apart) {
	struct config *c = load_text("monitor = { listen = [ \"127.0.0.1:9419\", \"[::1]:1\", \"localhost:65535\", "
				     "\"*:9419\" ]; };\n" QUEUES);

	ck_assert_uint_eq(c->monitor.n_listen, 4);
	assert_listen(&c->monitor.listen[0], "127.0.0.1", 9419);
	assert_listen(&c->monitor.listen[1], "::1", 1);
	assert_listen(&c->monitor.listen[2], "localhost", 65535);
	assert_listen(&c->monitor.listen[3], "*", 9419);
	config_unref(c);
	c = load_text("monitor = { listen = \"[::]:9419\"; };\n" QUEUES);
	ck_assert_uint_eq(c->monitor.n_listen, 1);
	assert_listen(&c->monitor.listen[0], "::", 9419);
	config_unref(c);
	c = load_text("monitor = { listen = []; };\n" QUEUES);
	ck_assert_uint_eq(c->monitor.n_listen, 0);
	config_unref(c);
	c = load_text(QUEUES);
	ck_assert_uint_eq(c->monitor.n_listen, 0);
	config_unref(c);
}
END_TEST

/* "broker", "localhost" and so on are refused with these words. */
static void refuse_listen(const char *address, const char *why) {
	CLEANUP(strbuf_free) struct strbuf content = STRBUF_INIT, expected = STRBUF_INIT;

	strbuf_printf(&content, "monitor = {\nlisten = [ \"127.0.0.1:1\", \"%s\" ]; };\n" QUEUES, address);
	strbuf_printf(&expected,
		      "a.conf:2: monitor.listen[1]: expected an address such as \"127.0.0.1:9419\", but %s\n", why);
	refuse_text(strbuf_str(&content), strbuf_str(&expected));
}

START_TEST(an_address_that_cannot_be_listened_at_is_refused) {
	static const char host[] = "its host is no IP address, nor \"localhost\", nor \"*\" for all addresses (other "
				   "names are not looked up)";
	static const char port[] = "its port is not a number from 1 to 65535";
	static const char none[] = "it has no port: \"HOST:PORT\"";

	refuse_listen("monitor.example.org:9419", host);
	refuse_listen("127.0.0.256:9419", host);
	refuse_listen(":9419", host);
	refuse_listen("", none);
	refuse_listen("localhost", none);
	refuse_listen("[::1]", none);
	refuse_listen("localhost:", port);
	refuse_listen("localhost:0", port);
	refuse_listen("localhost:65536", port);
	refuse_listen("localhost:100000000000", port);
	refuse_listen("localhost:+1", port);
	refuse_listen("::1:9419", "an IPv6 address needs brackets");
	refuse_listen("[127.0.0.1]:9419", "what is in brackets is not an IPv6 address");
	refuse_listen("[]:9419", "what is in brackets is not an IPv6 address");
	refuse_listen("[::1", "the bracket of the IPv6 address is not closed");
	refuse_listen("[::1]x:1", none);
	refuse_text("monitor = { listen = ( \"*:1\", 2, \"*:1\" ); };\n" QUEUES,
		    "a.conf:1: monitor.listen[1]: expected an address such as \"127.0.0.1:9419\", found 2\n"
		    "a.conf:1: monitor.listen[2]: this address is there already\n");
	refuse_text("monitor = { listen = 9419; };\n" QUEUES,
		    "a.conf:1: monitor.listen: expected an address such as \"127.0.0.1:9419\", or an array of at most "
		    "16, found 9419\n");
}
END_TEST

static char *dump(const struct config *c) {
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(config_dump(c, f), 0);
	ck_assert_int_eq(fclose(f), 0);
	return text;
}

START_TEST(a_dump_says_where_the_daemon_can_be_reached) {
	struct config *c;
	char *first, *second;

	ck_assert_int_eq(setenv("RUNTIME_DIRECTORY", "/run/here", 1), 0);
	c = load_text(QUEUES);
	first = dump(c);
	ck_assert_ptr_nonnull(strstr(first, "control = {\n\tsocket = \"/run/here/control.sock\";\n};\n"));
	ck_assert_ptr_null(strstr(first, "listen"));
	free(first);
	config_unref(c);
	c = load_text("control = { socket = \"\"; group = \"root\"; };\n"
		      "monitor = { listen = [ \"127.0.0.1:1\", \"[::1]:2\", \"*:3\" ]; };\n" QUEUES);
	first = dump(c);
	config_unref(c);
	ck_assert_ptr_nonnull(strstr(first, "\tsocket = \"\";\n\tgroup = \"root\";\n"));
	ck_assert_ptr_nonnull(strstr(first, "\tlisten = [ \"127.0.0.1:1\", \"[::1]:2\", \"*:3\" ];\n"));
	c = load_text(first);
	second = dump(c);
	ck_assert_str_eq(first, second);
	free(first);
	free(second);
	config_unref(c);
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_SCRATCH_CASE(suite, "control", the_control_socket_is_where_systemd_says,
			 a_path_that_no_socket_can_have_is_refused, the_group_of_the_control_socket_exists);
	ADD_SCRATCH_CASE(suite, "monitor", addresses_of_the_monitor_are_taken_apart,
			 an_address_that_cannot_be_listened_at_is_refused);
	ADD_SCRATCH_CASE(suite, "dump", a_dump_says_where_the_daemon_can_be_reached);
}

CHECK_MAIN("config listen", add_cases)
