/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/fd.h"
#include "check_main.h"
#include "scratch.h"
#include "service/listen.h"

static char path[4200];

static void setup(void) {
	scratch_setup();
	ck_assert_int_lt(snprintf(path, sizeof(path), "%s/control.sock", scratch_path), 100);
}

static struct sockaddr_un address_of(const char *of) {
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	strcpy(a.sun_path, of);
	return a;
}

static int try_connect(void) {
	struct sockaddr_un a = address_of(path);
	CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	return connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? -errno : 0;
}

static void ck_why(int r, int expected, char **why, const char *text) {
	ck_assert_int_eq(r, expected);
	ck_assert_ptr_nonnull(*why);
	ck_assert_msg(strstr(*why, text) != NULL, "\"%s\" is not in \"%s\"", text, *why);
	free(*why);
}

/* How many files there are in the folder. */
static unsigned files(void) {
	CLEANUP(free) struct dirent **entries = NULL;
	int n = scandir(".", &entries, NULL, NULL);

	ck_assert_int_ge(n, 2);
	for (int i = 0; i < n; i++)
		free(entries[i]);
	return (unsigned)n - 2;
}

/* --- Unix sockets --- */

/* One that is at its place. */
static struct listen_unix *published(const char *group, const struct listen_unix *own) {
	struct listen_unix *u;
	char *why;

	ck_assert_int_eq(listen_unix_new(path, group, own, &u, &why), 0);
	ck_assert_int_eq(listen_unix_publish(u, own, &why), 0);
	return u;
}

static gid_t group_of(const char *of) {
	struct stat st;

	ck_assert_int_eq(lstat(of, &st), 0);
	return st.st_gid;
}

START_TEST(makes_a_socket_for_its_group) {
	struct listen_unix *u = published(NULL, NULL);
	struct stat st;

	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 07777, 0660);
	ck_assert_uint_eq(u->group, st.st_gid);
	ck_assert_uint_eq(st.st_gid, getegid());
	ck_assert_int_eq(try_connect(), 0);
	ck_assert_int_eq(fcntl(u->fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_uint_eq(files(), 1);
	u = listen_unix_free(u);
	ck_assert_uint_eq(files(), 0);
}
END_TEST

START_TEST(takes_a_group_by_name_or_number) {
	struct listen_unix *u;

	/* Only root may choose any group. */
	if (geteuid() != 0)
		return;
	u = published("4711", NULL);
	ck_assert_uint_eq(u->group, 4711);
	ck_assert_uint_eq(group_of(path), 4711);
	listen_unix_free(u);
	u = published("daemon", NULL);
	ck_assert_uint_eq(u->group, 1);
	listen_unix_free(u);
}
END_TEST

START_TEST(an_unknown_group_is_an_error) {
	struct listen_unix *u = NULL;
	char *why;

	ck_why(listen_unix_new(path, "no-such-group", NULL, &u, &why), -ESRCH, &why, "there is no group no-such-group");
	ck_assert_uint_eq(files(), 0);
}
END_TEST

START_TEST(replaces_a_socket_of_the_dead) {
	struct sockaddr_un a = address_of(path);
	int dead = socket(AF_UNIX, SOCK_STREAM, 0);
	struct listen_unix *u;
	char *why;

	ck_assert_int_eq(bind(dead, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(dead, 1), 0);
	fd_close(dead);
	ck_assert_int_eq(listen_unix_new(path, NULL, NULL, &u, &why), 0);
	ck_assert_int_eq(try_connect(), -ECONNREFUSED);
	ck_assert_int_eq(listen_unix_publish(u, NULL, &why), 0);
	ck_assert_int_eq(try_connect(), 0);
	listen_unix_free(u);
	ck_assert_uint_eq(files(), 0);
}
END_TEST

START_TEST(leaves_a_living_one_alone) {
	struct listen_unix *first = published(NULL, NULL), *second = NULL;
	char *why;

	ck_why(listen_unix_new(path, NULL, NULL, &second, &why), -EADDRINUSE, &why, "another amqp-execd");
	ck_assert_ptr_null(second);
	ck_assert_int_eq(try_connect(), 0);
	listen_unix_free(first);
}
END_TEST

/* A queue that nobody empties is one of somebody who lives. */
START_TEST(leaves_a_busy_one_alone) {
	struct sockaddr_un a = address_of(path);
	CLEANUP(fd_close) int busy = socket(AF_UNIX, SOCK_STREAM, 0);
	struct listen_unix *u = NULL;
	int clients[8];
	char *why;

	ck_assert_int_eq(bind(busy, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(busy, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(clients[i], (struct sockaddr *)&a, sizeof(a));
	}
	ck_why(listen_unix_new(path, NULL, NULL, &u, &why), -EADDRINUSE, &why, "listens on");
	ck_assert_uint_eq(files(), 1);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		fd_close(clients[i]);
}
END_TEST

START_TEST(leaves_other_files_alone) {
	struct listen_unix *u = NULL;
	struct stat st;
	char *why;

	scratch_write("control.sock", 0600, "mine");
	ck_why(listen_unix_new(path, NULL, NULL, &u, &why), -EEXIST, &why, "is no socket");
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, 4);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(symlink("/nowhere", path), 0);
	ck_why(listen_unix_new(path, NULL, NULL, &u, &why), -EEXIST, &why, "is no socket");
}
END_TEST

START_TEST(removes_only_its_own_file) {
	struct listen_unix *first = published(NULL, NULL), *second;

	ck_assert_int_eq(unlink(path), 0);
	second = published(NULL, NULL);
	listen_unix_free(first);
	ck_assert_int_eq(try_connect(), 0);
	listen_unix_free(second);
	ck_assert_uint_eq(files(), 0);
}
END_TEST

/* Another group, and so another file, while the socket of before still listens. */
START_TEST(replaces_its_own_file) {
	struct listen_unix *first = published(NULL, NULL), *second = published(geteuid() == 0 ? "4711" : NULL, first);

	listen_unix_free(first);
	ck_assert(geteuid() != 0 || group_of(path) == 4711);
	ck_assert_int_eq(try_connect(), 0);
	listen_unix_free(second);
	ck_assert_uint_eq(files(), 0);
}
END_TEST

/* It may be that nothing comes of it. */
START_TEST(changes_nothing_before_it_is_published) {
	struct listen_unix *first = published(NULL, NULL), *second;
	gid_t group = group_of(path);
	char *why;

	ck_assert_int_eq(listen_unix_new(path, geteuid() == 0 ? "4711" : NULL, first, &second, &why), 0);
	ck_assert_uint_eq(files(), 2);
	ck_assert(listen_unix_is(first, path, NULL));
	listen_unix_free(second);
	ck_assert_uint_eq(files(), 1);
	ck_assert_uint_eq(group_of(path), group);
	ck_assert_int_eq(try_connect(), 0);
	listen_unix_free(first);
	ck_assert_uint_eq(files(), 0);
}
END_TEST

START_TEST(what_comes_meanwhile_is_left_alone) {
	struct listen_unix *u, *other;
	char *why;

	ck_assert_int_eq(listen_unix_new(path, NULL, NULL, &u, &why), 0);
	scratch_write("control.sock", 0600, "mine");
	ck_why(listen_unix_publish(u, NULL, &why), -EEXIST, &why, "is no socket");
	ck_assert_int_eq(unlink(path), 0);
	/* The name of the file that is not there yet is the process's: so it is another process that is faster. */
	ck_assert_int_eq(rename(u->temporary, "aside"), 0);
	other = published(NULL, NULL);
	ck_assert_int_eq(rename("aside", u->temporary), 0);
	ck_why(listen_unix_publish(u, NULL, &why), -EADDRINUSE, &why, "listens on");
	ck_assert_int_eq(try_connect(), 0);
	/* Once there is room it can still be had. */
	listen_unix_free(other);
	ck_assert_int_eq(listen_unix_publish(u, NULL, &why), 0);
	ck_assert_int_eq(try_connect(), 0);
	listen_unix_free(u);
	ck_assert_uint_eq(files(), 0);
}
END_TEST

START_TEST(knows_whether_it_is_what_is_asked_for) {
	struct listen_unix *u = published(NULL, NULL), *with_group;
	char number[16];

	snprintf(number, sizeof(number), "%u", getegid());
	ck_assert(listen_unix_is(u, path, NULL));
	ck_assert(!listen_unix_is(u, path, number));
	ck_assert(!listen_unix_is(u, "/elsewhere", NULL));
	with_group = published(number, u);
	ck_assert(!listen_unix_is(u, path, NULL));
	ck_assert(listen_unix_is(with_group, path, number));
	ck_assert(!listen_unix_is(with_group, path, NULL));
	listen_unix_free(u);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert(!listen_unix_is(with_group, path, number));
	listen_unix_free(with_group);
}
END_TEST

START_TEST(says_what_is_wrong_with_a_path) {
	struct listen_unix *u = NULL;
	char long_path[200], *why;

	ck_why(listen_unix_new("/nonexistent/control.sock", NULL, NULL, &u, &why), -ENOENT, &why, "/nonexistent");
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[0] = '/';
	long_path[sizeof(long_path) - 1] = '\0';
	ck_why(listen_unix_new(long_path, NULL, NULL, &u, &why), -ENAMETOOLONG, &why, "at most 107 bytes");
}
END_TEST

/* --- TCP --- */

static void ck_tcp(const char *host, int family) {
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	char *why;
	int fd;

	ck_assert_int_eq(listen_tcp(host, 0, &fd, &why), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	ck_assert_int_eq(a.ss_family, family);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	fd_close(fd);
}

START_TEST(listens_on_addresses) {
	ck_tcp("127.0.0.1", AF_INET);
	ck_tcp("0.0.0.0", AF_INET);
	/* Where the kernel has no IPv6, there is nothing to test. */
	if (access("/proc/net/if_inet6", F_OK) == 0) {
		ck_tcp("::1", AF_INET6);
		ck_tcp("*", AF_INET6);
	}
}
END_TEST

START_TEST(all_is_both) {
	struct sockaddr_storage a;
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	CLEANUP(fd_close) int fd = -1, client = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(a);
	char *why;

	ck_assert_int_eq(listen_tcp("*", 0, &fd, &why), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	v4.sin_port =
		a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port : ((struct sockaddr_in *)&a)->sin_port;
	ck_assert_int_eq(connect(client, (struct sockaddr *)&v4, sizeof(v4)), 0);
}
END_TEST

START_TEST(says_what_is_wrong_with_an_address) {
	struct sockaddr_in a;
	CLEANUP(fd_close) int fd = -1;
	socklen_t len = sizeof(a);
	int second = -1;
	char *why;

	ck_why(listen_tcp("example.org", 0, &second, &why), -EINVAL, &why, "no numeric address");
	ck_why(listen_tcp("", 0, &second, &why), -EINVAL, &why, "no numeric address");
	ck_assert_int_eq(listen_tcp("127.0.0.1", 0, &fd, &why), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	ck_why(listen_tcp("127.0.0.1", ntohs(a.sin_port), &second, &why), -EADDRINUSE, &why,
	       "cannot listen on 127.0.0.1 port");
	ck_assert_int_eq(second, -1);
}
END_TEST

/* --- handed over --- */

/* The variables and descriptors of a service manager; the test's own process, as each test is one. */
static void hand_over(const char *names, size_t n, const int *fds) {
	char text[32];

	snprintf(text, sizeof(text), "%d", getpid());
	setenv("LISTEN_PID", text, 1);
	snprintf(text, sizeof(text), "%zu", n);
	setenv("LISTEN_FDS", text, 1);
	setenv("LISTEN_FDNAMES", names, 1);
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(dup2(fds[i], 3 + (int)i), 3 + (int)i);
}

/* Out of the way of those that are handed over. */
static int high(int fd) {
	int moved = fcntl(fd, F_DUPFD, 100);

	ck_assert_int_ge(moved, 100);
	fd_close(fd);
	return moved;
}

START_TEST(takes_over_what_it_knows) {
	struct listen_inherited in = LISTEN_INHERITED_INIT;
	struct sockaddr_un a = address_of(path);
	int unix_fd = high(socket(AF_UNIX, SOCK_STREAM, 0)), tcp_fd = -1, pair[2];
	char *why;

	ck_assert_int_eq(bind(unix_fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(unix_fd, 1), 0);
	ck_assert_int_eq(listen_tcp("127.0.0.1", 0, &tcp_fd, &why), 0);
	tcp_fd = high(tcp_fd);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	/* A second one, of another name, not listening, of the wrong family. */
	hand_over("control:monitor:control:other:monitor:monitor:control", 7,
		  (int[]){unix_fd, tcp_fd, unix_fd, tcp_fd, tcp_fd, unix_fd, high(pair[0])});
	ck_assert_int_eq(listen_inherit(&in), 0);
	ck_assert_int_eq(in.control, 3);
	ck_assert_uint_eq(in.control_group, getegid());
	ck_assert_uint_eq(in.n_monitor, 2);
	ck_assert_int_eq(in.monitor[0], 4);
	ck_assert_int_eq(in.monitor[1], 7);
	for (int fd = 5; fd < 10; fd++)
		ck_assert_int_eq(fcntl(fd, F_GETFD) >= 0, fd == 7);
	ck_assert_ptr_null(getenv("LISTEN_FDS"));
	ck_assert_ptr_null(getenv("LISTEN_PID"));
	listen_inherited_clear(&in);
	ck_assert_int_lt(fcntl(3, F_GETFD), 0);
	ck_assert_int_lt(fcntl(7, F_GETFD), 0);
}
END_TEST

START_TEST(nothing_handed_over_is_nothing) {
	struct listen_inherited in = LISTEN_INHERITED_INIT;

	unsetenv("LISTEN_PID");
	ck_assert_int_eq(listen_inherit(&in), 0);
	ck_assert_int_eq(in.control, -1);
	ck_assert_uint_eq(in.n_monitor, 0);
	listen_inherited_clear(&in);
}
END_TEST

static void add_cases(Suite *suite) {
	ADD_FIXTURE_CASE(suite, "unix", setup, scratch_teardown, makes_a_socket_for_its_group,
			 takes_a_group_by_name_or_number, an_unknown_group_is_an_error, replaces_a_socket_of_the_dead,
			 leaves_a_living_one_alone, leaves_a_busy_one_alone, leaves_other_files_alone,
			 removes_only_its_own_file, replaces_its_own_file, changes_nothing_before_it_is_published,
			 what_comes_meanwhile_is_left_alone, knows_whether_it_is_what_is_asked_for,
			 says_what_is_wrong_with_a_path);
	ADD_FIXTURE_CASE(suite, "tcp", setup, scratch_teardown, listens_on_addresses, all_is_both,
			 says_what_is_wrong_with_an_address);
	ADD_FIXTURE_CASE(suite, "inherited", setup, scratch_teardown, takes_over_what_it_knows,
			 nothing_handed_over_is_nothing);
}

CHECK_MAIN("listen", add_cases)
