/* SPDX-License-Identifier: MIT */
#include "handler/output.h"

#include <assert.h>
#include <string.h>

static struct output_stream *stream_of(struct output *o, int stream) {
	assert(stream == 1 || stream == 2);
	return o->streams + stream - 1;
}

/* Passes a line on as far as the stream's limit allows. A newline counts as a byte: empty lines are bounded too. */
static void pass(struct output *o, int stream, const char *text, size_t len, bool newline, bool cut, output_line *line,
		 void *userdata) {
	struct output_stream *s = stream_of(o, stream);
	size_t room = RUN_OUTPUT_MAX - s->passed;

	if (room == 0 || len > room) {
		size_t n = len < room ? len : room;

		s->finished = true;
		s->passed += n;
		o->dropped += len - n + newline;
		line(stream, text, n, true, userdata);
		return;
	}
	/* The newline of a line that just fits is not worth a cut. */
	s->passed += len + newline <= room ? len + newline : room;
	line(stream, text, len, cut, userdata);
}

/* Completes the partial line by n bytes of data and passes it on. */
static void pass_with_partial(struct output *o, int stream, const char *data, size_t n, bool newline, bool cut,
			      output_line *line, void *userdata) {
	struct output_stream *s = stream_of(o, stream);
	size_t len = s->len + n;

	if (s->len > 0) {
		if (n > 0)
			memcpy(s->partial + s->len, data, n);
		data = s->partial;
		s->len = 0;
	}
	pass(o, stream, data, len, newline, cut, line, userdata);
}

void output_feed(struct output *o, int stream, const char *data, size_t len, output_line *line, void *userdata) {
	struct output_stream *s = stream_of(o, stream);

	o->bytes += len;
	while (len > 0 && !s->finished) {
		const char *newline = memchr(data, '\n', len);
		size_t piece = newline ? (size_t)(newline - data) : len;
		size_t used = piece + (newline ? 1 : 0);

		if (s->skipping) {
			o->dropped += used;
			s->skipping = !newline;
		} else if (piece > RUN_LINE_MAX - s->len) {
			used = RUN_LINE_MAX - s->len;
			s->skipping = true;
			pass_with_partial(o, stream, data, used, false, true, line, userdata);
		} else if (newline) {
			pass_with_partial(o, stream, data, piece, true, false, line, userdata);
		} else {
			memcpy(s->partial + s->len, data, piece);
			s->len += piece;
		}
		data += used;
		len -= used;
	}
	o->dropped += len;
}

void output_renew(struct output *o) {
	o->bytes = o->dropped = 0;
	for (size_t i = 0; i < ARRAY_SIZE(o->streams); i++) {
		o->streams[i].passed = 0;
		o->streams[i].finished = false;
	}
}

void output_end(struct output *o, int stream, output_line *line, void *userdata) {
	struct output_stream *s = stream_of(o, stream);

	if (s->finished) {
		o->dropped += s->len;
		s->len = 0;
	} else if (s->len > 0) {
		pass_with_partial(o, stream, NULL, 0, false, false, line, userdata);
	}
	s->skipping = false;
}
