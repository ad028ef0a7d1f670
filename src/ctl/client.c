/* SPDX-License-Identifier: MIT */
#include "ctl/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/strbuf.h"
#include "ctl/text.h"

/* What a daemon with a very large configuration says is far below. */
#define ANSWER_MAX (64 * 1024 * 1024)

struct client {
	CURL *curl;       /* owned; keeps the connection open */
	const char *path; /* borrowed */
	int wake_fd;      /* borrowed; -1: none */
	struct strbuf received;
};

void client_answer_clear(struct client_answer *a) {
	json_decref(a->body);
	*a = CLIENT_ANSWER_INIT;
}

int client_new(const char *path, struct client **ret) {
	struct client *c;

	if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return -ENAMETOOLONG;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->path = path;
	c->wake_fd = -1;
	c->curl = curl_easy_init();
	if (!c->curl) {
		free(c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

struct client *client_free(struct client *c) {
	if (!c)
		return NULL;
	curl_easy_cleanup(c->curl);
	strbuf_free(&c->received);
	free(c);
	return NULL;
}

/* --- why it cannot be reached ------------------------------------------------------------------------------------ */

/* The file tells whose socket it is, unless it is its folder that keeps us out. */
static int explain_access(const char *path, char **ret_why) {
	const struct group *group;
	struct stat st;

	if (stat(path, &st) < 0)
		return text_fail(-EACCES, ret_why, "no permission to use %s: its folder is closed to this user", path);
	group = getgrgid(st.st_gid);
	if (group)
		return text_fail(-EACCES, ret_why,
				 "no permission to use %s: root and the members of the group \"%s\" have it", path,
				 group->gr_name);
	return text_fail(-EACCES, ret_why, "no permission to use %s: root and the members of the group %ju have it",
			 path, (uintmax_t)st.st_gid);
}

/* libcurl says that it could not connect; the kernel says why. */
static int explain_connect(const char *path, char **ret_why) {
	CLEANUP(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, path, strlen(path));
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return text_fail(-EIO, ret_why, "the daemon at %s does not take the connection", path);
	if (errno == ENOENT || errno == ENOTDIR)
		return text_fail(-ENOENT, ret_why, "there is no socket %s: the daemon does not run, or has another one",
				 path);
	if (errno == ECONNREFUSED)
		return text_fail(-ECONNREFUSED, ret_why, "nobody listens on %s: the daemon does not run", path);
	if (errno == EACCES)
		return explain_access(path, ret_why);
	return text_fail(-EIO, ret_why, "cannot connect to %s: %s", path, strerror(errno));
}

/* --- asking ------------------------------------------------------------------------------------------------------ */

/* Less than it was given makes libcurl give up. */
static size_t on_data(char *data, size_t size, size_t n, void *userdata) {
	struct client *c = userdata;

	if (c->received.len + size * n > ANSWER_MAX)
		return 0;
	strbuf_append(&c->received, data, size * n);
	return c->received.failed ? 0 : size * n;
}

/* Called all the time, at least once a second. Anything but 0 makes libcurl give up. */
static int on_progress(void *userdata, curl_off_t to_get, curl_off_t got, curl_off_t to_send, curl_off_t sent) {
	const struct client *c = userdata;
	struct pollfd fd = {.fd = c->wake_fd, .events = POLLIN};

	return c->wake_fd >= 0 && poll(&fd, 1, 0) > 0;
}

static int prepare(struct client *c, const char *method, const char *url, uint64_t timeout_usec) {
	long msec = timeout_usec == USEC_INFINITY ? 0L : (long)(timeout_usec / USEC_PER_MSEC);
	bool post = strcmp(method, "POST") == 0;

	strbuf_reset(&c->received);
	if (curl_easy_setopt(c->curl, CURLOPT_UNIX_SOCKET_PATH, c->path) != CURLE_OK ||
	    curl_easy_setopt(c->curl, CURLOPT_URL, url) != CURLE_OK ||
	    curl_easy_setopt(c->curl, post ? CURLOPT_POST : CURLOPT_HTTPGET, 1L) != CURLE_OK ||
	    (post && curl_easy_setopt(c->curl, CURLOPT_COPYPOSTFIELDS, "") != CURLE_OK) ||
	    /* A queue may be called "..". */
	    curl_easy_setopt(c->curl, CURLOPT_PATH_AS_IS, 1L) != CURLE_OK ||
	    /* Neither is of use here, and both may come from the environment. */
	    curl_easy_setopt(c->curl, CURLOPT_PROXY, "") != CURLE_OK ||
	    curl_easy_setopt(c->curl, CURLOPT_NETRC, 0L) != CURLE_OK ||
	    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L) != CURLE_OK ||
	    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, msec) != CURLE_OK ||
	    curl_easy_setopt(c->curl, CURLOPT_NOPROGRESS, c->wake_fd < 0 ? 1L : 0L) != CURLE_OK ||
	    curl_easy_setopt(c->curl, CURLOPT_XFERINFOFUNCTION, on_progress) != CURLE_OK ||
	    curl_easy_setopt(c->curl, CURLOPT_XFERINFODATA, c) != CURLE_OK ||
	    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_data) != CURLE_OK ||
	    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c) != CURLE_OK)
		return -ENOMEM;
	return 0;
}

int client_ask(struct client *c, const char *method, const char *path, uint64_t timeout_usec, struct client_answer *ret,
	       char **ret_why) {
	CLEANUP(strbuf_free) struct strbuf url = STRBUF_INIT;
	CURLcode code;
	long status = 0;

	*ret_why = NULL;
	strbuf_printf(&url, "http://localhost%s", path);
	if (url.failed || prepare(c, method, strbuf_str(&url), timeout_usec) < 0)
		return -ENOMEM;
	code = curl_easy_perform(c->curl);
	if (code == CURLE_COULDNT_CONNECT)
		return explain_connect(c->path, ret_why);
	if (code == CURLE_OPERATION_TIMEDOUT)
		return text_fail(-EIO, ret_why, "the daemon at %s does not answer", c->path);
	if (code == CURLE_ABORTED_BY_CALLBACK)
		return -EINTR;
	if (code != CURLE_OK)
		return text_fail(-EIO, ret_why, "asking the daemon at %s has failed: %s", c->path,
				 curl_easy_strerror(code));
	(void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	ret->status = (unsigned)status;
	ret->body = json_loadb(strbuf_str(&c->received), c->received.len, 0, NULL);
	return 0;
}

void client_set_wake(struct client *c, int fd) {
	c->wake_fd = fd;
}

void client_append_encoded(struct strbuf *b, const char *s) {
	for (const char *p = s; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("-._~", c))
			strbuf_append_char(b, *p);
		else
			strbuf_printf(b, "%%%02X", c);
	}
}
