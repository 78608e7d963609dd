#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "cli/output.h"
#include "format/json_out.h"

enum { DEPTH_MAX = JADE_JSON_DEPTH_MAX, INDENT = 2 };

/* Words that YAML 1.1 or 1.2 reads as null, a boolean or a number. */
static bool is_reserved(const char *s, size_t n)
{
    static const char *const words[] = {"null", "true", "false", "yes", "no", "on",
                                        "off",  "y",    "n",     "nan", "inf"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strlen(words[i]) == n && strncasecmp(words[i], s, n) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Only what no YAML reader can take for anything else stays without quotes. */
static bool is_plain(const char *s, size_t n)
{
    if (n == 0 || !is_letter(s[0]) || is_reserved(s, n)) {
        return false;
    }
    for (size_t i = 1; i < n; i++) {
        if (!is_letter(s[i]) && !(s[i] >= '0' && s[i] <= '9') && s[i] != '-') {
            return false;
        }
    }
    return true;
}

/* Characters that YAML allows as they are between double quotes; others are written as escapes. */
static bool is_printable(uint32_t point)
{
    return (point >= 0x20 && point < 0x7F) ||
           (point >= 0xA0 && point < 0xD800 && point != 0x2028 && point != 0x2029) ||
           (point >= 0xE000 && point < 0xFFFE && point != 0xFEFF) || point >= 0x10000;
}

static void write_quoted(const char *s, size_t n, struct jade_buf *out)
{
    jade_buf_append_byte(out, '"');
    for (size_t i = 0; i < n;) {
        uint32_t point = 0;
        size_t len = jade_utf8_decode(s + i, n - i, &point);
        JADE_ASSERT(len > 0); /* the parser lets valid UTF-8 in only */
        if (point == '"' || point == '\\') {
            jade_buf_append_byte(out, '\\');
            jade_buf_append(out, s + i, len);
        } else if (point == '\n') {
            jade_buf_append_str(out, "\\n");
        } else if (point == '\t') {
            jade_buf_append_str(out, "\\t");
        } else if (is_printable(point)) {
            jade_buf_append(out, s + i, len);
        } else {
            jade_buf_printf(out, "\\u%04x", point);
        }
        i += len;
    }
    jade_buf_append_byte(out, '"');
}

static void write_string(struct jade_str s, struct jade_buf *out)
{
    if (is_plain(s.p, s.n)) {
        jade_buf_append(out, s.p, s.n);
    } else {
        write_quoted(s.p, s.n, out);
    }
}

/* YAML 1.1 takes 1e-07 for a string: its floats need a point, and a sign in the exponent. */
static void write_double(double v, struct jade_buf *out)
{
    char text[32];
    size_t n = jade_f64_text(v, text);
    const char *e = memchr(text, 'e', n);
    size_t mantissa = e ? (size_t)(e - text) : n;
    jade_buf_append(out, text, mantissa);
    if (!memchr(text, '.', mantissa)) {
        jade_buf_append_str(out, ".0");
    }
    if (e) {
        jade_buf_append_byte(out, 'e');
        if (e[1] != '-' && e[1] != '+') {
            jade_buf_append_byte(out, '+');
        }
        jade_buf_append(out, e + 1, n - mantissa - 1);
    }
}

static void write_scalar(struct jade_json v, struct jade_buf *out)
{
    switch (jade_json_type(v)) {
    case JADE_JSON_STRING:
        write_string(jade_json_string(v), out);
        break;
    case JADE_JSON_DOUBLE:
        write_double(jade_json_double(v), out);
        break;
    case JADE_JSON_ARRAY:
        jade_buf_append_str(out, "[]");
        break;
    case JADE_JSON_OBJECT:
        jade_buf_append_str(out, "{}");
        break;
    case JADE_JSON_NULL:
    case JADE_JSON_BOOL:
    case JADE_JSON_INT:
    case JADE_JSON_UINT:
        jade_json_write(v, out);
        break;
    }
}

static bool is_container(struct jade_json v)
{
    enum jade_json_type t = jade_json_type(v);
    return (t == JADE_JSON_ARRAY || t == JADE_JSON_OBJECT) && jade_json_count(v) > 0;
}

/* A vector: its numbers stay in one line. */
static bool is_flow(struct jade_json v)
{
    struct jade_json_iter it = {0};
    struct jade_json element;
    if (jade_json_type(v) != JADE_JSON_ARRAY) {
        return false;
    }
    while (jade_json_array_next(v, &it, &element)) {
        if (!jade_json_is_number(element)) {
            return false;
        }
    }
    return true;
}

static void write_flow(struct jade_json v, struct jade_buf *out)
{
    struct jade_json_iter it = {0};
    struct jade_json element;
    const char *between = "[";
    while (jade_json_array_next(v, &it, &element)) {
        jade_buf_append_str(out, between);
        write_scalar(element, out);
        between = ", ";
    }
    jade_buf_append_byte(out, ']');
}

static void write_indent(size_t columns, struct jade_buf *out)
{
    static const char blanks[] = "                ";
    while (columns > 0) {
        size_t n = columns < sizeof blanks - 1 ? columns : sizeof blanks - 1;
        jade_buf_append(out, blanks, n);
        columns -= n;
    }
}

struct level {
    struct jade_json v;
    struct jade_json_iter it;
    size_t indent;
    bool in_line; /* its first entry goes on in the line of the "- " before it */
};

/* One entry of a container up to its value; false at the end. */
static bool next_entry(struct level *l, struct jade_json *value, struct jade_buf *out)
{
    struct jade_str key;
    bool is_object = jade_json_type(l->v) == JADE_JSON_OBJECT;
    if (is_object ? !jade_json_object_next(l->v, &l->it, &key, value)
                  : !jade_json_array_next(l->v, &l->it, value)) {
        return false;
    }
    if (!l->in_line) {
        write_indent(l->indent, out);
    }
    l->in_line = false;
    if (is_object) {
        write_string(key, out);
        jade_buf_append_byte(out, ':');
    } else {
        jade_buf_append_byte(out, '-');
    }
    return true;
}

/* An explicit stack: the depth is the data's, not ours. */
void jade_yaml_write(struct jade_json root, struct jade_buf *out)
{
    struct level stack[DEPTH_MAX];
    size_t depth = 0;
    struct jade_json v = root;
    if (!is_container(root) || is_flow(root)) {
        is_container(root) ? write_flow(root, out) : write_scalar(root, out);
        jade_buf_append_byte(out, '\n');
        return;
    }
    stack[depth++] = (struct level){.v = root};
    while (depth > 0) {
        struct level *top = &stack[depth - 1];
        bool in_array = jade_json_type(top->v) == JADE_JSON_ARRAY;
        if (!next_entry(top, &v, out)) {
            depth--;
        } else if (!is_container(v) || is_flow(v)) {
            jade_buf_append_byte(out, ' ');
            is_container(v) ? write_flow(v, out) : write_scalar(v, out);
            jade_buf_append_byte(out, '\n');
        } else {
            JADE_ASSERT(depth < DEPTH_MAX);
            jade_buf_append_byte(out, in_array ? ' ' : '\n');
            stack[depth++] =
                (struct level){.v = v, .indent = top->indent + INDENT, .in_line = in_array};
        }
    }
}

void jade_print_yaml(FILE *out, struct jade_json v)
{
    struct jade_buf b;
    jade_buf_init(&b, JADE_TAG_OTHER);
    jade_yaml_write(v, &b);
    if (jade_buf_status(&b, NULL) == JADE_OK) {
        fwrite(b.data, 1, b.len, out);
    }
    jade_buf_release(&b);
}
