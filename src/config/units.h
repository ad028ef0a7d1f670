/* SPDX-License-Identifier: MIT */
/* Durations and sizes as people write them, and back. Pure. */
#pragma once

#include <stdint.h>

struct strbuf;

/* Reads a duration as systemd.time(7) writes it: numbers with units, added up ("250ms", "1h 30min", "1.5s", "90" in
 * seconds), or "infinity" (USEC_INFINITY). Digits below a microsecond are dropped. -EINVAL: not a duration. -ERANGE:
 * negative, or too long to count. */
int units_parse_duration(const char *s, uint64_t *ret_usec);

/* The same of a number of seconds; fractions are rounded to microseconds. -ERANGE. */
int units_duration_from_seconds(int64_t seconds, uint64_t *ret_usec);
int units_duration_from_float(double seconds, uint64_t *ret_usec);

/* Reads a size in bytes: a whole number, followed by K, M, G or T for powers of 1024 if at all. -EINVAL, -ERANGE. */
int units_parse_size(const char *s, uint64_t *ret_bytes);

/* Appends the duration or size in the largest units that tell it exactly ("1h 30min", "infinity"; "128M"): reading it
 * again gives the same value. */
void units_format_duration(uint64_t usec, struct strbuf *b);
void units_format_size(uint64_t bytes, struct strbuf *b);
