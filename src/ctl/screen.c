/* SPDX-License-Identifier: MIT */
#include "ctl/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/strbuf.h"
#include "ctl/text.h"

/* xterm's, as everybody has them: a screen of one's own, the cursor, the corner, the rest of a line and of the screen.
 */
#define OTHER_SCREEN "\033[?1049h"
#define FIRST_SCREEN "\033[?1049l"
#define HIDE_CURSOR "\033[?25l"
#define SHOW_CURSOR "\033[?25h"
#define HOME "\033[H"
#define CLEAR_LINE "\033[K"
#define CLEAR_REST "\033[J"
#define PLAIN "\033[0m"

struct screen {
	bool terminal;
	bool shown;        /* the terminal is ours */
	bool has_keys;     /* stdin is a terminal, too, and reads keys, not lines */
	int signal_fd;     /* owned */
	int poll_fd;       /* owned; signals and keys */
	sigset_t old_mask; /* from before */
	struct termios old_keys;
};

/* By which SCREEN_SIGNAL came. */
static int last_signal;

static bool is_capable_terminal(void) {
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

void screen_size(size_t *ret_width, size_t *ret_height) {
	struct winsize size = {0};

	(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	*ret_width = size.ws_col;
	*ret_height = size.ws_row;
}

static int write_all(const char *data, size_t len) {
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* --- having the terminal, and giving it back ---------------------------------------------------------------------- */

/* Keys come one by one, and are not shown. In the background this stops us until we are in the foreground. */
static void take_keys(struct screen *s) {
	struct termios keys;

	s->has_keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &s->old_keys) == 0;
	if (!s->has_keys)
		return;
	keys = s->old_keys;
	keys.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
	keys.c_cc[VMIN] = 1;
	keys.c_cc[VTIME] = 0;
	s->has_keys = tcsetattr(STDIN_FILENO, TCSADRAIN, &keys) == 0;
}

static void enter(struct screen *s) {
	if (!s->terminal)
		return;
	take_keys(s);
	(void)write_all(OTHER_SCREEN HIDE_CURSOR HOME CLEAR_REST, strlen(OTHER_SCREEN HIDE_CURSOR HOME CLEAR_REST));
	s->shown = true;
}

static void leave(struct screen *s) {
	if (!s->shown)
		return;
	(void)write_all(PLAIN SHOW_CURSOR FIRST_SCREEN, strlen(PLAIN SHOW_CURSOR FIRST_SCREEN));
	if (s->has_keys)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &s->old_keys);
	s->shown = false;
}

static int watch(struct screen *s, int fd) {
	struct epoll_event event = {.events = EPOLLIN};

	return epoll_ctl(s->poll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int screen_new(bool wanted, struct screen **ret) {
	static const int signals[] = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT, SIGUSR1,
				      SIGUSR2, SIGALRM, SIGTSTP, SIGCONT, SIGWINCH};
	CLEANUP(screen_free) struct screen *s = calloc(1, sizeof(*s));
	sigset_t mask;
	int r;

	if (!s)
		return -ENOMEM;
	s->poll_fd = -1;
	sigemptyset(&mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&mask, signals[i]);
	sigprocmask(SIG_BLOCK, &mask, &s->old_mask);
	s->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0)
		return -errno;
	s->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->poll_fd < 0)
		return -errno;
	r = watch(s, s->signal_fd);
	if (r < 0)
		return r;
	s->terminal = wanted && is_capable_terminal();
	enter(s);
	r = s->has_keys ? watch(s, STDIN_FILENO) : 0;
	if (r < 0)
		return r;
	*ret = TAKE(s);
	return 0;
}

struct screen *screen_free(struct screen *s) {
	if (!s)
		return NULL;
	leave(s);
	fd_close(s->poll_fd);
	fd_close(s->signal_fd);
	sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
	free(s);
	return NULL;
}

bool screen_is_terminal(const struct screen *s) {
	return s->terminal;
}

int screen_fd(const struct screen *s) {
	return s->poll_fd;
}

/* --- what is shown ------------------------------------------------------------------------------------------------ */

/* The length of the sequence that begins here, "\033[...m"; 0: none does. */
static size_t sequence_length(const char *s, size_t len) {
	size_t n = 2;

	if (len < 3 || s[0] != '\033' || s[1] != '[')
		return 0;
	while (n < len && (s[n] == ';' || (s[n] >= '0' && s[n] <= '9')))
		n++;
	return n < len && s[n] == 'm' ? n + 1 : 0;
}

/* As much of a line as fits, with its colours. */
static void append_line(struct strbuf *b, const char *line, size_t len, size_t width) {
	size_t used = 0, columns, n;
	bool full = false;

	for (size_t i = 0; i < len; i += n) {
		n = sequence_length(line + i, len - i);
		if (n > 0) {
			strbuf_append(b, line + i, n);
			continue;
		}
		n = text_step(line + i, len - i, &columns);
		full |= width > 0 && used + columns > width;
		if (full)
			continue;
		/* All that comes from outside is escaped already; nothing else is let through, either. */
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			strbuf_append_char(b, '?');
		else
			strbuf_append(b, line + i, n);
		used += columns;
	}
	/* At the end of a full line this would take away its last character. */
	if (width == 0 || used < width)
		strbuf_append_str(b, CLEAR_LINE);
}

/* One piece, line over line, so that nothing flickers. */
int screen_draw(struct screen *s, const char *text) {
	CLEANUP(strbuf_free) struct strbuf b = STRBUF_INIT;
	size_t width, height, n = 0;

	screen_size(&width, &height);
	strbuf_append_str(&b, HOME);
	while (*text && (height == 0 || n < height)) {
		size_t len = strcspn(text, "\n");

		if (n++ > 0)
			strbuf_append_str(&b, "\r\n");
		append_line(&b, text, len, width);
		text += len + (text[len] == '\n');
	}
	strbuf_append_str(&b, PLAIN);
	if (height == 0 || n < height)
		strbuf_append_str(&b, "\r\n" CLEAR_REST);
	return b.failed ? -ENOMEM : write_all(strbuf_str(&b), b.len);
}

/* --- what happens ------------------------------------------------------------------------------------------------- */

/* Stopped until somebody wants us to go on. */
static void suspend(struct screen *s) {
	sigset_t stop;

	leave(s);
	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	(void)raise(SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &stop, NULL);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	enter(s);
}

static enum screen_event take_signal(struct screen *s) {
	struct signalfd_siginfo info;

	if (read(s->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return SCREEN_TIME;
	switch (info.ssi_signo) {
	case SIGINT:
		return SCREEN_QUIT;
	case SIGTSTP:
		suspend(s);
		return SCREEN_REDRAW;
	case SIGCONT:
		/* After SIGSTOP, too, which nobody is told of; the shell may have changed everything. */
		leave(s);
		enter(s);
		return SCREEN_REDRAW;
	case SIGWINCH:
		return SCREEN_REDRAW;
	default:
		last_signal = (int)info.ssi_signo;
		return SCREEN_SIGNAL;
	}
}

static enum screen_event take_key(struct screen *s) {
	char key;
	ssize_t n = read(STDIN_FILENO, &key, 1);

	if (n == 1)
		return key == 'q' || key == 'Q' ? SCREEN_QUIT : SCREEN_TIME;
	/* The terminal is gone; a signal says so, unless it is ignored. */
	return n == 0 || errno != EINTR ? SCREEN_QUIT : SCREEN_TIME;
}

enum screen_event screen_wait(struct screen *s, uint64_t until_usec) {
	for (;;) {
		struct pollfd fds[] = {{.fd = s->signal_fd, .events = POLLIN},
				       {.fd = s->has_keys ? STDIN_FILENO : -1, .events = POLLIN}};
		uint64_t now = clock_now_usec(), left = until_usec > now ? until_usec - now : 0;
		struct timespec time = {.tv_sec = (time_t)(left / USEC_PER_SEC),
					.tv_nsec = (long)(left % USEC_PER_SEC * 1000)};
		enum screen_event event = SCREEN_TIME;
		int n = ppoll(fds, ARRAY_SIZE(fds), &time, NULL);

		if (n == 0)
			return SCREEN_TIME;
		if (n > 0 && fds[0].revents)
			event = take_signal(s);
		else if (n > 0 && fds[1].revents)
			event = take_key(s);
		if (event != SCREEN_TIME)
			return event;
	}
}

void screen_die(void) {
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, last_signal);
	(void)signal(last_signal, SIG_DFL);
	(void)raise(last_signal);
	sigprocmask(SIG_UNBLOCK, &mask, NULL);
}
