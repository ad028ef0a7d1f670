/* SPDX-License-Identifier: MIT */
#include "config/source.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/trusted.h"

/* One file on its way into the text. */
struct scan {
	struct source *source;
	struct config_problems *problems;
	size_t file; /* index of it */
	unsigned depth;
	unsigned line;
	const char *p; /* next byte */
	const char *end;
};

static int scan_file(struct source *s, const char *path, const struct place *from, unsigned depth,
		     struct config_problems *problems);

static int add_file(struct source *s, const char *path, mode_t mode) {
	struct source_file *files = reallocarray(s->files, s->n_files + 1, sizeof(*files));

	if (!files)
		return -ENOMEM;
	s->files = files;
	files[s->n_files].path = strdup(path);
	files[s->n_files].mode = mode;
	if (!files[s->n_files].path)
		return -ENOMEM;
	s->n_files++;
	return 0;
}

static int add_segment(struct source *s, size_t file, unsigned file_line) {
	struct source_segment *segments = reallocarray(s->segments, s->n_segments + 1, sizeof(*segments));

	if (!segments)
		return -ENOMEM;
	s->segments = segments;
	segments[s->n_segments++] =
		(struct source_segment){.position = s->position, .file = file, .file_line = file_line};
	return 0;
}

static const struct source_segment *segment_at(const struct source *s, unsigned position) {
	const struct source_segment *found = &s->segments[0];

	for (size_t i = 1; i < s->n_segments && s->segments[i].position <= position; i++)
		found = &s->segments[i];
	return found;
}

unsigned source_lines(const struct source *s) {
	return s->position - s->base - 1;
}

struct place source_place(const struct source *s, unsigned line) {
	unsigned position = s->base + line;
	const struct source_segment *seg = segment_at(s, position);
	unsigned beyond = position > seg->position ? position - seg->position : 0;

	return (struct place){.file = s->files[seg->file].path, .line = seg->file_line + beyond, .position = position};
}

const struct source_file *source_file_at(const struct source *s, unsigned line) {
	return &s->files[segment_at(s, s->base + line)->file];
}

/* Notes a problem on a line of the file being scanned. 0 or -ENOMEM. */
static int complain(struct scan *c, unsigned line, const char *text) {
	struct place place = {.file = c->source->files[c->file].path, .line = line, .position = c->source->position};

	return problems_add(c->problems, false, &place, NULL, "%s", text);
}

/* Moves n bytes into the text. */
static void copy(struct scan *c, size_t n) {
	strbuf_append(&c->source->text, c->p, n);
	for (; n > 0; n--) {
		if (*c->p++ == '\n') {
			c->line++;
			c->source->position++;
		}
	}
}

static bool looking_at(const struct scan *c, const char *what) {
	size_t n = strlen(what);

	return (size_t)(c->end - c->p) >= n && memcmp(c->p, what, n) == 0;
}

static int copy_line_comment(struct scan *c) {
	const char *newline = memchr(c->p, '\n', (size_t)(c->end - c->p));

	copy(c, (size_t)((newline ? newline : c->end) - c->p));
	return 0;
}

static int copy_comment(struct scan *c) {
	const char *close = memmem(c->p + 2, (size_t)(c->end - c->p) - 2, "*/", 2);
	unsigned line = c->line;

	if (!close) {
		copy(c, (size_t)(c->end - c->p));
		return complain(c, line, "this comment is never closed (expected */)");
	}
	copy(c, (size_t)(close - c->p) + 2);
	return 0;
}

static int copy_string(struct scan *c) {
	unsigned line = c->line;
	int r = 0;

	copy(c, 1);
	while (c->p < c->end && *c->p != '"') {
		/* libconfig would end the string here, and so read another one than is written. */
		if (looking_at(c, "\\x00") || looking_at(c, "\\X00"))
			r = complain(c, c->line, "a string cannot hold a NUL byte (\\x00)");
		if (r < 0)
			return r;
		copy(c, *c->p == '\\' && c->end - c->p > 1 ? 2 : 1);
	}
	if (c->p == c->end)
		return complain(c, line, "this string is never closed (expected \")");
	copy(c, 1);
	return 0;
}

/* Copies an integer without leading zeros, and adds the suffix L if it needs more than 32 bits. */
static int copy_integer(struct scan *c, size_t n, int base) {
	char digits[32];
	size_t prefix = base == 16 ? 2 : *c->p == '-' || *c->p == '+';
	size_t zeros = 0, suffix = 0, significant;
	bool fits;

	while (suffix < 2 && (size_t)(c->end - c->p) > n + suffix && c->p[n + suffix] == 'L')
		suffix++;
	/* libconfig from 1.6 on takes leading zeros for octal. */
	while (prefix + zeros + 1 < n && c->p[prefix + zeros] == '0')
		zeros++;
	significant = n - zeros;
	fits = significant < sizeof(digits);
	if (fits) {
		long long value;

		memcpy(digits, c->p, prefix);
		memcpy(digits + prefix, c->p + prefix + zeros, significant - prefix);
		digits[significant] = '\0';
		errno = 0;
		value = strtoll(digits, NULL, base);
		fits = errno == 0;
		strbuf_append(&c->source->text, digits, significant);
		c->p += n;
		if (fits && suffix == 0 && (value < INT32_MIN || value > INT32_MAX))
			strbuf_append_char(&c->source->text, 'L');
	} else {
		copy(c, n);
	}
	copy(c, suffix);
	return fits ? 0 : complain(c, c->line, "this integer is too large (64 bits with a sign)");
}

static size_t digits_at(const struct scan *c, size_t n, bool hex) {
	while (c->p + n < c->end && (hex ? isxdigit((unsigned char)c->p[n]) : isdigit((unsigned char)c->p[n])))
		n++;
	return n;
}

static int copy_number(struct scan *c) {
	size_t start = *c->p == '-' || *c->p == '+', n;

	if (looking_at(c, "0x") || looking_at(c, "0X")) {
		n = digits_at(c, 2, true);
		if (n > 2)
			return copy_integer(c, n, 16);
	}
	n = digits_at(c, start, false);
	if (n > start && (c->p + n == c->end || !strchr(".eE", c->p[n])))
		return copy_integer(c, n, 10);
	/* A float, with its exponent and that one's sign; or whatever libconfig will think of it. */
	n = start;
	while (c->p + n < c->end && (isdigit((unsigned char)c->p[n]) || strchr(".eE", c->p[n]) ||
				     (n > 0 && strchr("+-", c->p[n]) && strchr("eE", c->p[n - 1]))))
		n++;
	copy(c, n);
	return 0;
}

static bool in_name(char c) {
	return isalnum((unsigned char)c) || strchr("*_-", c);
}

/* The name that an include directive gives, with \\ and \" resolved as libconfig does. */
static int include_name(struct scan *c, struct strbuf *name) {
	unsigned line = c->line;

	for (; c->p < c->end && *c->p != '"'; c->p++) {
		if (*c->p == '\n')
			break;
		if (*c->p == '\\' && c->end - c->p > 1 && (c->p[1] == '\\' || c->p[1] == '"'))
			c->p++;
		strbuf_append_char(name, *c->p);
	}
	if (c->p == c->end || *c->p != '"')
		return complain(c, line, "expected @include \"FILE\" on one line");
	c->p++;
	return 0;
}

/* Puts an included file into the text, on lines of its own. `c->p` is behind the opening quote. */
static int include(struct scan *c) {
	CLEANUP(strbuf_free) struct strbuf name = STRBUF_INIT, path = STRBUF_INIT;
	const char *own = c->source->files[c->file].path, *slash = strrchr(own, '/');
	struct place from = {.file = own, .line = c->line, .position = c->source->position};
	size_t n_problems = c->problems->n;
	int r;

	r = include_name(c, &name);
	if (r < 0 || c->problems->n > n_problems)
		return r;
	if (*strbuf_str(&name) != '/' && slash)
		strbuf_append(&path, own, (size_t)(slash - own) + 1);
	strbuf_append_str(&path, strbuf_str(&name));
	if (name.failed || path.failed)
		return -ENOMEM;
	strbuf_append_char(&c->source->text, '\n');
	c->source->position++;
	/* `from` borrows the name of this file, which stays where it is although the array of files moves. */
	r = scan_file(c->source, strbuf_str(&path), &from, c->depth + 1, c->problems);
	if (r < 0)
		return r;
	strbuf_append_char(&c->source->text, '\n');
	c->source->position++;
	return add_segment(c->source, c->file, c->line);
}

/* The length of "@include" and the opening quote at the start of a line; 0 if there is none. */
static size_t include_at(const struct scan *c) {
	static const char keyword[] = "@include";
	const char *p = c->p;
	const char *blank;

	while (p < c->end && (*p == ' ' || *p == '\t'))
		p++;
	if ((size_t)(c->end - p) < sizeof(keyword) - 1 || memcmp(p, keyword, sizeof(keyword) - 1) != 0)
		return 0;
	p += sizeof(keyword) - 1;
	for (blank = p; p < c->end && (*p == ' ' || *p == '\t');)
		p++;
	return p > blank && p < c->end && *p == '"' ? (size_t)(p + 1 - c->p) : 0;
}

/* Looks at a character outside of strings, comments, numbers and names. */
static int check_bracket(struct scan *c) {
	struct source *s = c->source;
	const struct bracket *open;
	const char *why = brackets_next(&s->brackets, *c->p, c->file, c->line, s->position, &open);
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;

	if (!why)
		return 0;
	if (open) {
		const char *file = s->files[open->file].path;

		strbuf_printf(&text, "this %c %s the %c of ", *c->p, why, open->open);
		if (open->file == c->file)
			strbuf_append_str(&text, "line ");
		else
			strbuf_append_escaped(&text, file, strlen(file));
		strbuf_printf(&text, "%s%u (expected %c before it)", open->file == c->file ? "" : ":", open->line,
			      bracket_closing(open->open));
	} else if (strchr("{[(", *c->p)) {
		strbuf_append_str(&text, why);
	} else {
		strbuf_printf(&text, "this %c %s", *c->p, why);
	}
	return text.failed ? -ENOMEM : complain(c, c->line, strbuf_str(&text));
}

static int scan_token(struct scan *c) {
	size_t n = 0;
	int r;

	if (*c->p == '"')
		return copy_string(c);
	if (*c->p == '#' || looking_at(c, "//"))
		return copy_line_comment(c);
	if (looking_at(c, "/*"))
		return copy_comment(c);
	if (strchr("+-.0123456789", *c->p))
		return copy_number(c);
	while (c->p + n < c->end && in_name(c->p[n]))
		n++;
	r = n > 0 ? 0 : check_bracket(c);
	copy(c, n > 0 ? n : 1);
	return r;
}

static int scan_text(struct scan *c) {
	bool line_start = true;
	int r;

	while (c->p < c->end) {
		size_t n = line_start ? include_at(c) : 0;

		if (n > 0) {
			c->p += n;
			r = include(c);
			line_start = false;
		} else {
			char first = *c->p;

			r = scan_token(c);
			line_start = first == '\n';
		}
		if (r < 0)
			return r;
		if (c->source->text.len > SOURCE_SIZE_MAX) {
			r = complain(c, c->line, "the configuration is larger than 4 MiB");
			return r < 0 ? r : -EFBIG;
		}
	}
	return 0;
}

static unsigned count_lines(const char *s) {
	unsigned n = 0;

	for (; *s; s++)
		n += *s == '\n';
	return n;
}

/* A link that leads nowhere is there. */
static bool is_gone(const char *path) {
	struct stat st;

	return lstat(path, &st) < 0 && errno == ENOENT;
}

/* Appends the file to the text. `from` is where it was asked for. What is wrong with the file is a problem of that
 * place, and the others are still looked at; -ENOMEM, -EFBIG when the whole has become too large, or -ENOENT if the
 * first one may be gone. */
static int scan_file(struct source *s, const char *path, const struct place *from, unsigned depth,
		     struct config_problems *problems) {
	CLEANUP(trusted_clear) struct trusted t = {0};
	CLEANUP(strbuf_free) struct strbuf why = STRBUF_INIT;
	struct scan c = {.source = s, .problems = problems, .depth = depth, .line = 1, .file = s->n_files};
	int r;

	if (depth > SOURCE_DEPTH_MAX) {
		r = problems_add(problems, false, from, NULL, "files include each other too deeply (more than %d)",
				 SOURCE_DEPTH_MAX);
		return r < 0 ? r : -EFBIG;
	}
	r = trusted_read(path, SOURCE_SIZE_MAX, &t, &why);
	if (r == -ENOMEM)
		return r;
	if (r < 0 && depth > 0) {
		CLEANUP(strbuf_free) struct strbuf name = STRBUF_INIT;

		strbuf_append_escaped(&name, path, strlen(path));
		return problems_add(problems, false, from, NULL, "the included file \"%s\" %s", strbuf_str(&name),
				    strbuf_str(&why));
	}
	if (r == -ENOENT && s->may_be_gone && is_gone(path))
		return r;
	if (r < 0)
		return problems_add(problems, false, from, NULL, "the file %s", strbuf_str(&why));
	r = add_file(s, path, t.mode);
	if (r < 0)
		return r;
	r = add_segment(s, c.file, 1);
	if (r < 0)
		return r;
	c.p = t.data;
	c.end = t.data + t.len;
	/* libconfig would take a NUL for the end of the text; the functions above rely on there being none. */
	if (strlen(t.data) < t.len)
		return complain(&c, 1 + count_lines(t.data), "a NUL byte: this is not a text file");
	/* A byte order mark, which some editors add and nobody sees. */
	if (looking_at(&c, "\xef\xbb\xbf"))
		c.p += 3;
	return scan_text(&c);
}

/* The bracket that is still open at the end of the text. 0 or -ENOMEM. */
static int check_unclosed(struct source *s, struct config_problems *problems) {
	const struct bracket *open = brackets_unclosed(&s->brackets);
	struct place place;

	if (!open)
		return 0;
	place = (struct place){.file = s->files[open->file].path, .line = open->line, .position = open->position};
	return problems_add(problems, false, &place, NULL, "this %c is never closed (expected %c)", open->open,
			    bracket_closing(open->open));
}

int source_read(struct source *s, const char *path, unsigned base, bool may_be_gone, struct config_problems *problems) {
	struct place from = {.file = path, .position = base};
	size_t n_errors = problems->n_errors;
	int r;

	s->base = base;
	s->position = base + 1;
	s->may_be_gone = may_be_gone;
	r = scan_file(s, path, &from, 0, problems);
	/* Of a text that was not read to its end, or not as it is meant, nothing can be said. */
	if (r == 0 && problems->n_errors == n_errors)
		r = check_unclosed(s, problems);
	/* libconfig takes a comment for one only when a newline follows it. */
	if (s->text.len > 0 && s->text.data[s->text.len - 1] != '\n') {
		strbuf_append_char(&s->text, '\n');
		s->position++;
	}
	if (s->text.failed || r == -ENOMEM)
		return -ENOMEM;
	return problems->n_errors > n_errors ? -EINVAL : r;
}

void source_clear(struct source *s) {
	if (s->text.data)
		explicit_bzero(s->text.data, s->text.len);
	strbuf_free(&s->text);
	for (size_t i = 0; i < s->n_files; i++)
		free(s->files[i].path);
	free(s->files);
	free(s->segments);
	*s = (struct source){0};
}
