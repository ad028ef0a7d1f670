/* SPDX-License-Identifier: MIT */
#include "base/base64.h"

#include <errno.h>
#include <stdint.h>

void base64_append(struct strbuf *b, const void *data, size_t len) {
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = data;
	char out[1024];
	size_t n = 0;

	for (size_t i = 0; i < len; i += 3) {
		uint32_t bits = (uint32_t)p[i] << 16;

		if (i + 1 < len)
			bits |= (uint32_t)p[i + 1] << 8;
		if (i + 2 < len)
			bits |= p[i + 2];
		out[n++] = digits[bits >> 18];
		out[n++] = digits[bits >> 12 & 63];
		out[n++] = i + 1 < len ? digits[bits >> 6 & 63] : '=';
		out[n++] = i + 2 < len ? digits[bits & 63] : '=';
		if (n == sizeof(out)) {
			strbuf_append(b, out, n);
			n = 0;
		}
	}
	strbuf_append(b, out, n);
}

static int digit_value(char c) {
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four characters, of which the last `padding` are not looked at. */
static int decode_group(const char *text, size_t padding, struct strbuf *b) {
	uint32_t bits = 0;
	char out[3];

	for (size_t i = 0; i < 4; i++) {
		int digit = i < 4 - padding ? digit_value(text[i]) : 0;

		if (digit < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)digit;
	}
	if (bits & ((UINT32_C(1) << 8 * padding) - 1))
		return -EINVAL;
	for (size_t i = 0; i < 3; i++)
		out[i] = (char)(bits >> (16 - 8 * i) & 255);
	strbuf_append(b, out, 3 - padding);
	return 0;
}

int base64_decode(struct strbuf *b, const char *text, size_t len) {
	if (len % 4 != 0)
		return -EINVAL;
	for (size_t i = 0; i < len; i += 4) {
		size_t padding = 0;
		int r;

		if (i + 4 == len && text[i + 3] == '=')
			padding = text[i + 2] == '=' ? 2 : 1;
		r = decode_group(text + i, padding, b);
		if (r < 0)
			return r;
	}
	return b->failed ? -ENOMEM : 0;
}
