/* SPDX-License-Identifier: MIT */
#include "handler/payload.h"

#include <errno.h>
#include <zlib.h>

#include "base/base64.h"
#include "handler/body.h"
#include "message/gojson.h"
#include "message/metadata.h"

#define PIECE 32768

/* What base64 is made of, as it grows. */
struct payload {
	struct strbuf bytes;
	size_t max; /* of bytes */
	bool compress;
	z_stream stream;
};

static void payload_clear_cleanup(struct payload *p) {
	if (p->compress)
		(void)deflateEnd(&p->stream);
	strbuf_free(&p->bytes);
}

static int payload_init(struct payload *p, bool compress, size_t max) {
	*p = (struct payload){.max = max / 4 * 3};
	if (compress && deflateInit(&p->stream, Z_BEST_COMPRESSION) != Z_OK)
		return -ENOMEM;
	p->compress = compress;
	return 0;
}

static int check_size(const struct payload *p) {
	if (p->bytes.failed)
		return -ENOMEM;
	return p->bytes.len > p->max ? -E2BIG : 0;
}

/* Z_NO_FLUSH or Z_FINISH. */
static int deflate_all(struct payload *p, int flush) {
	char out[4096];
	int r = 0;

	do {
		p->stream.next_out = (Bytef *)out;
		p->stream.avail_out = sizeof(out);
		(void)deflate(&p->stream, flush); /* cannot fail on a stream that is in order */
		strbuf_append(&p->bytes, out, sizeof(out) - p->stream.avail_out);
		r = check_size(p);
	} while (r == 0 && p->stream.avail_out == 0);
	return r;
}

static int payload_add(struct payload *p, const char *data, size_t len) {
	if (!p->compress) {
		strbuf_append(&p->bytes, data, len);
		return check_size(p);
	}
	p->stream.next_in = (Bytef *)data;
	p->stream.avail_in = (uInt)len;
	return deflate_all(p, Z_NO_FLUSH);
}

/* Piece by piece, so that it ends soon once there is too much. */
static int add_body(struct payload *p, const struct body_view *body) {
	int r = 0;

	for (size_t at = 0, n; r == 0 && at < body->len; at += n) {
		n = body->len - at < PIECE ? body->len - at : PIECE;
		r = payload_add(p, body->data + at, n);
	}
	return r;
}

static int add_object(struct payload *p, const struct message *m, const struct body_view *body) {
	CLEANUP(strbuf_free) struct strbuf text = STRBUF_INIT;
	int r = metadata_begin_argument(m, &text);

	for (size_t at = 0, n; r == 0 && at < body->len; at += n) {
		n = gojson_piece(body->data + at, body->len - at, PIECE);
		gojson_append_characters(&text, body->data + at, n);
		r = text.failed ? -ENOMEM : payload_add(p, text.data, text.len);
		strbuf_reset(&text);
	}
	if (r < 0)
		return r;
	strbuf_append_str(&text, "\"}");
	return text.failed ? -ENOMEM : payload_add(p, text.data, text.len);
}

int payload_append(const struct config_handler *h, const struct message *m, size_t max, struct strbuf *b) {
	CLEANUP(payload_clear) struct payload p = {0};
	CLEANUP(body_view_close) struct body_view body = {0};
	int r;

	if (m->body_size > (h->compress ? PAYLOAD_COMPRESS_MAX : max))
		return -E2BIG;
	r = body_view_open(m, &body);
	if (r == 0)
		r = payload_init(&p, h->compress, max);
	if (r == 0)
		r = h->input == CONFIG_INPUT_ARGUMENT_JSON ? add_object(&p, m, &body) : add_body(&p, &body);
	if (r == 0 && p.compress)
		r = deflate_all(&p, Z_FINISH);
	if (r < 0)
		return r;
	base64_append(b, p.bytes.data, p.bytes.len);
	return b->failed ? -ENOMEM : 0;
}
