/* SPDX-License-Identifier: MIT */
#include "broker/dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "broker/wait.h"

#define USER_TIMEOUT_DEFAULT_SEC 60
#define KEEPALIVE_INTERVAL_SEC 10
#define KEEPALIVE_PROBES 3

/* Best effort: a socket without them still works. */
void dial_tune(int fd, unsigned heartbeat) {
	int one = 1;
	int idle = heartbeat > 0 && heartbeat < USER_TIMEOUT_DEFAULT_SEC ? (int)heartbeat : USER_TIMEOUT_DEFAULT_SEC;
	int interval = KEEPALIVE_INTERVAL_SEC;
	int probes = KEEPALIVE_PROBES;
	/* Sends to a peer that is gone, or that does not read, fail after this: the library itself waits for ever. */
	unsigned user_timeout = (heartbeat > 0 ? 2 * heartbeat : USER_TIMEOUT_DEFAULT_SEC) * 1000;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof(user_timeout));
}

/* Waits until the socket is connected or has failed. *ret_interrupted: the failure is that of `wake`. */
static int wait_connected(const struct dial *d, int fd, uint64_t deadline, bool *ret_interrupted) {
	for (;;) {
		struct pollfd p[2] = {{.fd = fd, .events = POLLOUT}, {.fd = d->wake_fd, .events = POLLIN}};
		uint64_t now = clock_now_usec();
		socklen_t len = sizeof(int);
		int r, error;

		if (now >= deadline)
			return -ETIMEDOUT;
		r = poll(p, 2, wait_msec(deadline, now));
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r <= 0)
			continue;
		if (p[1].revents) {
			r = d->wake(d->userdata);
			if (r < 0) {
				*ret_interrupted = true;
				return r;
			}
		}
		if (!p[0].revents)
			continue;
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
			return -errno;
		return -error;
	}
}

int dial_address(const struct dial *d, const struct addrinfo *a, uint64_t deadline_usec, bool *ret_final, int *ret_fd) {
	CLEANUP(fd_close) int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
	int r = 0;

	if (fd < 0)
		return -errno;
	dial_tune(fd, d->heartbeat);
	if (connect(fd, a->ai_addr, a->ai_addrlen) < 0)
		r = errno == EINPROGRESS ? wait_connected(d, fd, deadline_usec, ret_final) : -errno;
	if (r == 0)
		*ret_fd = TAKE_FD(fd);
	return r;
}

static int resolve(const struct dial *d, char *reason, size_t reason_size, struct addrinfo **ret) {
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	char service[8];
	int r;

	(void)snprintf(service, sizeof(service), "%u", d->port);
	r = getaddrinfo(d->host, service, &hints, ret);
	if (r == 0)
		return 0;
	(void)snprintf(reason, reason_size, "cannot resolve the host name %s: %s", d->host,
		       r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
	return r == EAI_MEMORY ? -ENOMEM : -EHOSTUNREACH;
}

void dial_address_to_string(const struct addrinfo *a, char *buf, size_t size) {
	if (getnameinfo(a->ai_addr, a->ai_addrlen, buf, (socklen_t)size, NULL, 0, NI_NUMERICHOST) != 0)
		(void)snprintf(buf, size, "?");
}

int dial_each(const struct dial *d, uint64_t timeout_usec, dial_attempt *attempt, void *userdata, char *reason,
	      size_t reason_size) {
	struct addrinfo *list;
	unsigned left = 0;
	uint64_t deadline;
	int r = resolve(d, reason, reason_size, &list);

	if (r < 0)
		return r;
	for (const struct addrinfo *a = list; a; a = a->ai_next)
		left++;
	deadline = clock_add_usec(clock_now_usec(), timeout_usec);
	for (const struct addrinfo *a = list; a; a = a->ai_next, left--) {
		uint64_t now = clock_now_usec();
		char address[NI_MAXHOST];
		bool final = false;

		/* An address that swallows everything must not use up the time of those after it. */
		r = attempt(d, a, now + (deadline > now ? (deadline - now) / left : 0), userdata, &final);
		if (r == 0 || final)
			break;
		dial_address_to_string(a, address, sizeof(address));
		if (strcmp(address, d->host) == 0)
			(void)snprintf(reason, reason_size, "cannot connect to %s port %u: %s", d->host, d->port,
				       strerror(-r));
		else
			(void)snprintf(reason, reason_size, "cannot connect to %s port %u (%s): %s", d->host, d->port,
				       address, strerror(-r));
	}
	freeaddrinfo(list);
	return r;
}

static int attempt_plain(const struct dial *d, const struct addrinfo *a, uint64_t deadline_usec, void *userdata,
			 bool *ret_final) {
	return dial_address(d, a, deadline_usec, ret_final, userdata);
}

int dial(const struct dial *d, uint64_t timeout_usec, char *reason, size_t reason_size, int *ret_fd) {
	return dial_each(d, timeout_usec, attempt_plain, ret_fd, reason, reason_size);
}
