/* SPDX-License-Identifier: MIT */
/* Headers of a message as a JSON object, and back. What both sides know (booleans, strings, numbers, null, tables,
 * arrays) is itself. What JSON has no word for is an object of one member, whose name says what it is:
 *   {"base64": "AAE="}          a byte array
 *   {"string_base64": "/w=="}   a string that is not UTF-8
 *   {"timestamp": 1700000000}   seconds since 1970
 *   {"unsigned": "9223372036854775808"}   an integer of 64 bits above 2^63 - 1
 *   {"decimal": "1.25"}         a decimal number
 *   {"float": "nan"}            a float that is no number: nan, inf, -inf
 *   {"table": {"base64": "x"}}  a table that would be mistaken for one of these, or for this
 * So a value comes back as what it was, but that integers come back with 32 or 64 bits, and floats as doubles. Pure. */
#pragma once

#include "message/field.h"
#include <jansson.h>

/* What one frame can hold by far. */
#define HEADERS_SIZE_MAX 131072

/* The table as a JSON object, a new reference. Of several fields of one name the first counts; a name that is not UTF-8
 * becomes base64; what is nested deeper than FIELD_DEPTH_MAX is null. -ENOMEM. */
int headers_to_json(const struct table *t, json_t **ret);

/* The object as a table, which the caller clears. Integers become FIELD_I32, or
 * FIELD_I64 where they do not fit (of which some clients have their own idea), other numbers FIELD_F64. -ENOMEM.
 * -EINVAL: *ret_why (static) says what is wrong: no object, a name of more than 255 bytes, nested deeper than
 * FIELD_DEPTH_MAX, larger than HEADERS_SIZE_MAX, one of the objects above with a value that does not fit its name. */
int headers_from_json(json_t *object, struct table *ret, const char **ret_why);

/* One value likewise, into `ret`, which is FIELD_VOID and keeps its name. */
int headers_value_from_json(json_t *value, struct field *ret, const char **ret_why);
