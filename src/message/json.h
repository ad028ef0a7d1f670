/* SPDX-License-Identifier: MIT */
/* AMQP field values as JSON. */
#pragma once

#include "base/strbuf.h"
#include "message/field.h"

/* Appends the field's value to b as compact JSON text in UTF-8, on one line. What JSON cannot express:
 * strings and bytes that are not UTF-8 become base64 (names of fields likewise); decimals, integers above 2^63 - 1
 * and floats that are no number become strings; timestamps are numbers (seconds); void, and whatever is nested deeper
 * than FIELD_DEPTH_MAX, is null. Of several fields of one name the first counts, as for table_find. -ENOMEM. */
int json_append_field(const struct field *f, struct strbuf *b);
