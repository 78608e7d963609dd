/*
 * Filter language (Mongo style, api.md): parsed to a flat tree, evaluated on a segment's metadata
 * index, or on one row's JSON.
 *
 * Semantics (docs/guides/filters.md says the same to users)
 * - An object of fields is an implicit AND. Paths are dotted; a leading "metadata." is optional.
 *   Scalar = equality. {"tags": ["finance", "tax"]} = contains any. $and/$or/$nor take a list,
 *   $not one filter; {"a": {"$not": {...}}} negates a field's conditions.
 * - $eq $ne $gt $gte $lt $lte $in $nin $exists. A path through an array looks at each element (as in
 *   MongoDB): a comparison is true when one element makes it true. $ne and $nin are the negation of
 *   $eq and $in: true for rows without the field. $exists: true when the path is there, also with
 *   null. {"a": null} = the field is null or absent.
 * - Types: numbers compare with numbers (integers exactly, also above 2^53), strings with strings
 *   (by bytes), booleans by equality. When both are RFC 3339 dates or times, $gt/$gte/$lt/$lte
 *   compare as times. Comparing different types is false, never an error.
 * - A path may spell dots inside a key: "a.b" reaches {"a": {"b": 1}} and {"a.b": 1}. Arrays are
 *   looked into one level: the elements of the array at the path's end are compared, the path goes
 *   on through objects in an array ("items.price"); an array directly inside an array is neither
 *   compared nor entered. Positions ("items.0") are no path.
 * - At the top, must, should, must_not with a list of filter objects are $and, $or, $nor; with
 *   anything else they are fields.
 * - Limits (limits.h): depth 16 objects, 1000 terms, else JADE_E_INVALID_FILTER; 64 KiB, else
 *   JADE_E_TOO_LARGE. An unknown operator is JADE_E_INVALID_FILTER with the nearest name, one of a
 *   later version JADE_E_NOT_SUPPORTED_YET.
 *
 * Ownership: a filter owns its tree and copies of all values; it does not need the JSON it came
 * from. Immutable after parse.
 * Threads: a filter may be used from many threads at once.
 */
#ifndef JADE_FILTER_FILTER_H
#define JADE_FILTER_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "format/json.h"

struct jade_filter;

/** Parses a filter object; `field` names it in errors ("filter"). An empty object matches every
 * row. */
jade_code jade_filter_parse(struct jade_json v, const char *field, struct jade_filter **out,
                            struct jade_err *err);
/** From JSON text. */
jade_code jade_filter_parse_text(const char *json, size_t n, const char *field,
                                 struct jade_filter **out, struct jade_err *err);
void jade_filter_free(struct jade_filter *f);
/** True when the filter has no condition. */
bool jade_filter_is_empty(const struct jade_filter *f);
/** Reference evaluation on one row's metadata (root object; doc NULL-typed for a row without
 * metadata). The oracle of all tests, and the check for what an index cannot decide. */
bool jade_filter_match(const struct jade_filter *f, struct jade_json metadata);
/** Canonical text of the tree, for explain and tests. */
void jade_filter_write(const struct jade_filter *f, struct jade_buf *out);

#endif
