/* SPDX-License-Identifier: MIT */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mailbox.h"
#include "base/strbuf.h"

#define LOG_RECORDS_MAX 8192
#define LOG_BYTES_MAX (4 * 1024 * 1024)
#define LOG_FIELDS_MAX 32
#define LOG_CLOSE_USEC USEC_PER_SEC
/* Under load the writer rests after each batch, so that a busy daemon is not interrupted for every line. An idle one's line
 * is written at once. */
#define LOG_REST_USEC (5 * USEC_PER_MSEC)
/* Lines for stderr are put together up to this size. */
#define LOG_CHUNK_MAX 32768

enum { LOG_ITEM_RECORD, LOG_ITEM_STOP };

/* One message on its way to the writer: the journal's "NAME=value" strings back to back, the text as the first. */
struct record {
	struct mailbox_item item;
	int priority;
	struct timespec time; /* wall clock, when it was logged */
	size_t size;	      /* of the whole allocation, for the byte limit */
	size_t n;
	struct iovec iov[]; /* n, pointing behind themselves; iov[0] is MESSAGE= */
};

/* The log is the process's: one, like stderr itself. */
static struct {
	bool open;
	enum log_target target;
	int max_priority;
	struct mailbox *mailbox;
	pthread_t writer;
	struct mailbox_item stop;
	atomic_size_t bytes;   /* queued */
	atomic_ulong dropped;  /* since the writer last said so */
	atomic_ulong dropped_total; /* ever */
	atomic_bool abandoned; /* log_close waits no longer: the writer must not touch what is freed */
} log_state = {.max_priority = LOG_INFO};

static const char *const priority_names[] = {
	[LOG_EMERG] = "emerg", [LOG_ALERT] = "alert",	[LOG_CRIT] = "crit", [LOG_ERR] = "err",
	[LOG_WARNING] = "warning", [LOG_NOTICE] = "notice", [LOG_INFO] = "info", [LOG_DEBUG] = "debug",
};

const char *log_priority_to_string(int priority) {
	if (priority < 0 || (size_t)priority >= ARRAY_SIZE(priority_names))
		return NULL;
	return priority_names[priority];
}

int log_priority_from_string(const char *s) {
	if (s[0] >= '0' && s[0] <= '7' && !s[1])
		return s[0] - '0';
	if (strcmp(s, "error") == 0)
		return LOG_ERR;
	for (size_t i = 0; i < ARRAY_SIZE(priority_names); i++)
		if (strcmp(s, priority_names[i]) == 0)
			return (int)i;
	return -EINVAL;
}

int log_enabled(int priority) {
	return priority <= log_state.max_priority;
}

/* JOURNAL_STREAM holds device and inode of the journal's socket; stderr may have been redirected since (systemd.exec(5)). */
static bool stderr_is_journal(void) {
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &dev, &ino) != 2)
		return false;
	return fstat(STDERR_FILENO, &st) == 0 && (unsigned long long)st.st_dev == dev && (unsigned long long)st.st_ino == ino;
}

/* Appends "2026-01-31T12:00:00.123456Z warning: text\n". */
static void append_line(struct strbuf *b, const struct timespec *time, int priority, const char *text, size_t len) {
	char stamp[32];
	struct tm tm;

	gmtime_r(&time->tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	strbuf_printf(b, "%s.%06ldZ %s: ", stamp, time->tv_nsec / 1000, priority_names[priority]);
	strbuf_append(b, text, len);
	strbuf_append_char(b, '\n');
}

/* Whole lines in one write, so that those of several writers do not mix. Empties the buffer. */
static void write_lines(struct strbuf *b) {
	size_t done = 0;

	while (!b->failed && done < b->len) {
		ssize_t n = write(STDERR_FILENO, b->data + done, b->len - done);
		/* Somebody else may have made the description non-blocking; the writer can wait. */
		struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

		if (n >= 0)
			done += (size_t)n;
		else if (errno == EAGAIN)
			(void)poll(&p, 1, -1);
		else if (errno != EINTR)
			break;
	}
	strbuf_reset(b);
}

/* To the journal at once, to stderr by way of `lines`. */
static void write_record(const struct record *r, struct strbuf *lines) {
	const size_t prefix = strlen("MESSAGE=");
	const struct iovec *text = &r->iov[0];

	if (log_state.target == LOG_TARGET_JOURNAL && sd_journal_sendv(r->iov, (int)r->n) >= 0)
		return;
	append_line(lines, &r->time, r->priority, (const char *)text->iov_base + prefix, text->iov_len - prefix);
	if (lines->len >= LOG_CHUNK_MAX || lines->failed)
		write_lines(lines);
}

static void write_dropped(unsigned long n, struct strbuf *lines) {
	char text[128];
	struct timespec now;

	snprintf(text, sizeof(text), "MESSAGE=%lu log messages were dropped: they came faster than they could be written", n);
	if (log_state.target == LOG_TARGET_JOURNAL &&
	    sd_journal_send("%s", text, "PRIORITY=%d", LOG_WARNING, "MESSAGE_ID=%s", log_event_id(LOG_EVENT_LOG_SUPPRESSED),
			    NULL) >= 0)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	append_line(lines, &now, LOG_WARNING, text + strlen("MESSAGE="), strlen(text) - strlen("MESSAGE="));
}

/* Writes and frees a batch. False: it ended with the order to stop. */
static bool write_batch(struct mailbox_item *item, struct strbuf *lines) {
	unsigned long dropped;

	while (item && item->kind != LOG_ITEM_STOP) {
		struct record *r = CONTAINER_OF(item, struct record, item);

		item = item->next;
		if (!atomic_load(&log_state.abandoned))
			write_record(r, lines);
		atomic_fetch_sub(&log_state.bytes, r->size);
		free(r);
	}
	dropped = atomic_exchange(&log_state.dropped, 0);
	if (dropped > 0)
		write_dropped(dropped, lines);
	write_lines(lines);
	return !item;
}

static void *writer_main(void *arg) {
	CLEANUP(strbuf_free) struct strbuf lines = STRBUF_INIT;
	struct mailbox *mailbox = arg;
	struct pollfd p = {.fd = mailbox_fd(mailbox), .events = POLLIN};

	do {
		(void)poll(&p, 1, -1);
		if (!write_batch(mailbox_take(mailbox), &lines))
			return NULL;
	} while (usleep(LOG_REST_USEC) == 0 || errno == EINTR);
	return NULL;
}

int log_open(enum log_target target, int max_priority) {
	int r;

	log_state.max_priority = max_priority;
	if (target == LOG_TARGET_AUTO)
		target = stderr_is_journal() ? LOG_TARGET_JOURNAL : LOG_TARGET_STDERR;
	log_state.target = target;
	r = mailbox_new(LOG_RECORDS_MAX, &log_state.mailbox);
	if (r < 0)
		return r;
	atomic_store(&log_state.abandoned, false);
	r = pthread_create(&log_state.writer, NULL, writer_main, log_state.mailbox);
	if (r != 0) {
		log_state.mailbox = mailbox_free(log_state.mailbox);
		return -r;
	}
	log_state.open = true;
	return 0;
}

void log_close(void) {
	struct timespec until;

	if (!log_state.open)
		return;
	log_state.open = false;
	log_state.stop.kind = LOG_ITEM_STOP;
	/* By the wall clock, because ThreadSanitizer knows no other join: a step of the clock spoils the last second at worst. */
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LOG_CLOSE_USEC / USEC_PER_SEC;
	/* Full only when the writer has been stuck for thousands of records: then it is not waited for either. */
	if (mailbox_post(log_state.mailbox, &log_state.stop) == 0 &&
	    pthread_timedjoin_np(log_state.writer, NULL, &until) == 0) {
		log_state.mailbox = mailbox_free(log_state.mailbox);
		return;
	}
	atomic_store(&log_state.abandoned, true);
	pthread_detach(log_state.writer);
	log_state.mailbox = NULL;
}

static void record_add(struct record *r, char **p, const char *name, const void *value, size_t size) {
	struct iovec *iov = &r->iov[r->n++];

	iov->iov_base = *p;
	*p = mempcpy(*p, name, strlen(name));
	*(*p)++ = '=';
	*p = mempcpy(*p, value, size);
	iov->iov_len = (size_t)(*p - (char *)iov->iov_base);
}

/* The iovecs and the strings in one allocation. */
static struct record *record_new(const char *id, int priority, const struct strbuf *text, const struct log_field *fields,
				 size_t n_fields) {
	const char digit = (char)('0' + priority);
	size_t size = sizeof(struct record) + (n_fields + 3) * sizeof(struct iovec) + strlen("MESSAGE=") + text->len +
		      strlen("PRIORITY=0") + strlen("MESSAGE_ID=") + (id ? strlen(id) : 0);
	struct record *r;
	char *p;

	for (size_t i = 0; i < n_fields; i++)
		size += strlen(fields[i].name) + 1 + fields[i].size;
	r = malloc(size);
	if (!r)
		return NULL;
	r->priority = priority;
	r->size = size;
	r->n = 0;
	clock_gettime(CLOCK_REALTIME, &r->time);
	p = (char *)&r->iov[n_fields + 3];
	record_add(r, &p, "MESSAGE", strbuf_str(text), text->len);
	record_add(r, &p, "PRIORITY", &digit, 1);
	if (id)
		record_add(r, &p, "MESSAGE_ID", id, strlen(id));
	for (size_t i = 0; i < n_fields; i++)
		if (fields[i].value)
			record_add(r, &p, fields[i].name, fields[i].value, fields[i].size);
	return r;
}

static void count_dropped(void) {
	atomic_fetch_add(&log_state.dropped, 1);
	atomic_fetch_add(&log_state.dropped_total, 1);
}

uint64_t log_dropped_total(void) {
	return atomic_load(&log_state.dropped_total);
}

static void log_record(const char *id, int priority, const struct strbuf *text, const struct log_field *fields, size_t n_fields) {
	struct record *r = record_new(id, priority, text, fields, n_fields);

	if (!r) {
		count_dropped();
		return;
	}
	if (!log_state.open) {
		CLEANUP(strbuf_free) struct strbuf line = STRBUF_INIT;

		append_line(&line, &r->time, priority, strbuf_str(text), text->len);
		write_lines(&line);
		free(r);
		return;
	}
	r->item.kind = LOG_ITEM_RECORD;
	if (atomic_fetch_add(&log_state.bytes, r->size) + r->size > LOG_BYTES_MAX ||
	    mailbox_post(log_state.mailbox, &r->item) < 0) {
		atomic_fetch_sub(&log_state.bytes, r->size);
		count_dropped();
		free(r);
	}
}

static void log_format(const char *id, int priority, const struct log_field *fields, size_t n_fields, const char *format,
		       va_list args) PRINTF_LIKE(5, 0);

static void log_format(const char *id, int priority, const struct log_field *fields, size_t n_fields, const char *format,
		       va_list args) {
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;

	if (!log_enabled(priority))
		return;
	strbuf_vprintf(&text, format, args);
	if (text.failed) {
		count_dropped();
		return;
	}
	log_record(id, priority, &text, fields, n_fields > LOG_FIELDS_MAX ? LOG_FIELDS_MAX : n_fields);
}

void log_event(enum log_event event, int priority, const struct log_field *fields, size_t n_fields, const char *format, ...) {
	va_list args;

	va_start(args, format);
	log_format(log_event_id(event), priority, fields, n_fields, format, args);
	va_end(args);
}

void log_write(int priority, const struct log_field *fields, size_t n_fields, const char *format, ...) {
	va_list args;

	va_start(args, format);
	log_format(NULL, priority, fields, n_fields, format, args);
	va_end(args);
}
