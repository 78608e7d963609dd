/*
 * JSON out: an appender that keeps track of commas. Strings are escaped (control characters, quotes, and </ for safe embedding);
 * numbers are shortest round-trip; not-finite numbers become null. Errors collect in the buffer (jade_buf_status).
 */
#ifndef JADE_FORMAT_JSON_OUT_H
#define JADE_FORMAT_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum { JADE_JSON_OUT_DEPTH_MAX = 64 };

struct jade_json_out {
    struct jade_buf *buf;
    unsigned depth;
    bool after_key;
    bool first[JADE_JSON_OUT_DEPTH_MAX];
};

void jade_json_out_init(struct jade_json_out *o, struct jade_buf *buf);
void jade_out_object(struct jade_json_out *o);
void jade_out_object_end(struct jade_json_out *o);
void jade_out_array(struct jade_json_out *o);
void jade_out_array_end(struct jade_json_out *o);
void jade_out_key(struct jade_json_out *o, const char *key);
void jade_out_str(struct jade_json_out *o, const char *s);
void jade_out_strn(struct jade_json_out *o, const char *s, size_t n);
void jade_out_i64(struct jade_json_out *o, int64_t v);
void jade_out_u64(struct jade_json_out *o, uint64_t v);
void jade_out_f64(struct jade_json_out *o, double v);
void jade_out_f32(struct jade_json_out *o, float v);
void jade_out_f32_array(struct jade_json_out *o, const float *v, size_t n);
void jade_out_bool(struct jade_json_out *o, bool v);
void jade_out_null(struct jade_json_out *o);
/** Bytes that already are one JSON value. */
void jade_out_raw(struct jade_json_out *o, const void *json, size_t n);
/** RFC 3339 time in UTC with microseconds, from microseconds since 1970. */
void jade_out_time(struct jade_json_out *o, int64_t wall_us);

/* key + value in one call */
void jade_out_key_str(struct jade_json_out *o, const char *key, const char *v);
void jade_out_key_u64(struct jade_json_out *o, const char *key, uint64_t v);
void jade_out_key_i64(struct jade_json_out *o, const char *key, int64_t v);
void jade_out_key_f64(struct jade_json_out *o, const char *key, double v);
void jade_out_key_bool(struct jade_json_out *o, const char *key, bool v);

/** Shortest text of a float32 / float64 that reads back as the same number; returns its length (no NUL). out: 32 bytes. */
size_t jade_f32_text(float v, char *out);
size_t jade_f64_text(double v, char *out);
/** "2025-10-08T12:00:00Z", with fraction and offset, or a date alone -> microseconds since 1970; false when it is no RFC 3339 time. */
bool jade_time_parse(const char *s, size_t n, int64_t *wall_us_out);

#endif
