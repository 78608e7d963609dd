/*
 * The one C++ file of the product (docs/adr/0002): simdjson behind the functions of json.h, and the standard library's shortest
 * number texts behind those of json_out.h. No exception and no C++ type passes its border.
 *
 * A struct jade_json holds what simdjson's tape_ref holds: the document and an index on its tape. The tape is one 64-bit word a value
 * (two for a number), type in the top byte; the word of an opening bracket knows where its value ends. So everything here is a walk
 * along an array, and no nesting can exhaust the stack.
 */
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <new>

#include <simdjson.h>

extern "C" {
#include "base/alloc.h"
#include "base/assert.h"
#include "format/json.h"
#include "format/json_out.h"
#include "format/json_private.h"
}

using simdjson::dom::document;
using simdjson::internal::tape_ref;
using simdjson::internal::tape_type;

struct jade_json_parser {
    simdjson::dom::parser simd;
    size_t max_bytes;
    size_t max_depth;
    char *text; /* copy of the document with the slack that simdjson reads past its end */
    size_t text_cap;
    int64_t accounted; /* estimate of what simdjson holds */
};

namespace
{

/* A document past this is not kept in memory for the next one. */
constexpr size_t KEEP_BYTES = size_t{4} << 20;
/* Objects of up to so many keys are checked pair by pair. */
constexpr size_t KEYS_BY_PAIRS = 12;

tape_ref ref(struct jade_json v)
{
    return tape_ref(static_cast<const document *>(v.doc), v.index);
}

struct jade_json value_at(const void *doc, size_t index)
{
    return {doc, index};
}

bool is_container(tape_type t)
{
    return t == tape_type::START_ARRAY || t == tape_type::START_OBJECT;
}

bool is_number(tape_type t)
{
    return t == tape_type::INT64 || t == tape_type::UINT64 || t == tape_type::DOUBLE;
}

struct jade_str string_at(const tape_ref &r)
{
    return {r.get_c_str(), r.get_string_length()};
}

/* Index of the closing bracket of a container. */
size_t closing(const tape_ref &r)
{
    return r.after_element() - 1;
}

simdjson::dom::parser simd_parser(size_t max_bytes)
{
    return simdjson::dom::parser(std::max(max_bytes, simdjson::dom::MINIMAL_DOCUMENT_CAPACITY));
}

void account(struct jade_json_parser *p)
{
    /* tape 8, strings 5/3, places 4 bytes a byte of capacity */
    int64_t now = static_cast<int64_t>(p->simd.capacity() * 41 / 3);
    jade_alloc_account(JADE_TAG_REQUEST, now - p->accounted);
    p->accounted = now;
}

/* Makes room for a text of n bytes in all that grows with it; doubles, so that rising sizes do not allocate each time. */
bool grow(struct jade_json_parser *p, size_t n)
{
    size_t cap = std::max(p->text_cap * 2, std::max<size_t>(n, 1024));
    cap = std::max(std::min(cap, p->max_bytes), simdjson::dom::MINIMAL_DOCUMENT_CAPACITY);
    jade_free(p->text);
    p->text_cap = 0;
    p->text = static_cast<char *>(jade_alloc(JADE_TAG_REQUEST, cap + simdjson::SIMDJSON_PADDING));
    if (p->text == nullptr || p->simd.allocate(cap, p->max_depth) != simdjson::SUCCESS ||
        p->simd.doc.allocate(cap) != simdjson::SUCCESS) {
        jade_free(p->text);
        p->text = nullptr;
        return false;
    }
    p->text_cap = cap;
    account(p);
    return true;
}

/*
 * simdjson refuses containers that nest as deep as its number and are not empty; an empty one it does not count. So the number is
 * max_depth, with which nothing deeper passes, and a text that is refused for it is read again with one more and measured.
 */
simdjson::error_code parse_at_limit(struct jade_json_parser *p, size_t n, struct jade_json root)
{
    simdjson::error_code code = p->simd.allocate(p->text_cap, p->max_depth + 1);
    if (code == simdjson::SUCCESS) {
        code = p->simd.parse(p->text, n, false).error();
    }
    if (code == simdjson::SUCCESS && jade_json_depth(root) > p->max_depth) {
        code = simdjson::DEPTH_ERROR;
    }
    if (p->simd.allocate(p->text_cap, p->max_depth) != simdjson::SUCCESS) {
        jade_json_parser_trim(p); /* without its buffers: the next parse makes them anew */
        return simdjson::MEMALLOC;
    }
    return code;
}

/* The parser refused p->text: says where and why in plain words. */
jade_code refuse(struct jade_json_parser *p, size_t n, simdjson::error_code code,
                 struct jade_err *err)
{
    if (code == simdjson::MEMALLOC) {
        return jade_fail(err, JADE_E_NOMEM, "no memory to parse a JSON text of %zu bytes", n);
    }
    struct jade_json_fault fault;
    if (jadei_json_find_fault(p->text, n, p->max_depth, &fault)) {
        return jade_fail(err, JADE_E_INVALID_JSON, "not valid JSON: %s at byte %zu of %zu",
                         fault.what, fault.at, n);
    }
    return jade_fail(err, JADE_E_INVALID_JSON, "not valid JSON: %s", simdjson::error_message(code));
}

jade_code key_twice(struct jade_str key, const char *field, struct jade_err *err)
{
    int shown = static_cast<int>(std::min<size_t>(key.n, 100));
    return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, field,
                           "key \"%.*s\" stands twice in one object", shown, key.p);
}

bool same(struct jade_str a, struct jade_str b)
{
    return a.n == b.n && std::memcmp(a.p, b.p, a.n) == 0;
}

jade_code check_few_keys(struct jade_json object, const char *field, struct jade_err *err)
{
    struct jade_str keys[KEYS_BY_PAIRS];
    size_t n = 0;
    struct jade_json_iter it = {};
    struct jade_json value;
    struct jade_str key;
    while (jade_json_object_next(object, &it, &key, &value)) {
        for (size_t i = 0; i < n; i++) {
            if (same(keys[i], key)) {
                return key_twice(key, field, err);
            }
        }
        keys[n++] = key;
    }
    return JADE_OK;
}

/* Sorted, so that no choice of keys makes it slow. */
jade_code check_many_keys(struct jade_json object, size_t count, const char *field,
                          struct jade_err *err)
{
    auto *keys =
        static_cast<struct jade_str *>(jade_calloc(JADE_TAG_REQUEST, count, sizeof(jade_str)));
    if (keys == nullptr) {
        return jade_fail(err, JADE_E_NOMEM, "no memory to compare %zu keys", count);
    }
    size_t n = 0;
    struct jade_json_iter it = {};
    struct jade_json value;
    while (n < count && jade_json_object_next(object, &it, &keys[n], &value)) {
        n++;
    }
    std::sort(keys, keys + n, [](const struct jade_str &a, const struct jade_str &b) {
        return a.n != b.n ? a.n < b.n : std::memcmp(a.p, b.p, a.n) < 0;
    });
    jade_code rc = JADE_OK;
    for (size_t i = 1; rc == JADE_OK && i < n; i++) {
        if (same(keys[i - 1], keys[i])) {
            rc = key_twice(keys[i], field, err);
        }
    }
    jade_free(keys);
    return rc;
}

/* field[i] with what is wrong there. */
jade_code bad_element(const tape_ref &r, const char *field, size_t i, struct jade_err *err)
{
    char place[JADE_ERR_FIELD_SIZE];
    std::snprintf(place, sizeof place, "%s[%zu]", field, i);
    struct jade_json v = {r.doc, r.json_index};
    if (jade_json_is_number(v)) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, place,
                               "%.9g does not fit a 32-bit float (at most 3.40282347e+38)",
                               jade_json_double(v));
    }
    return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, place, "expected a number, got %s",
                           jade_json_type_name(jade_json_type(v)));
}

/* A number as float32; false when r is no number or not finite as one. */
bool as_f32(const tape_ref &r, float *out)
{
    switch (r.tape_ref_type()) {
    case tape_type::DOUBLE:
        *out = static_cast<float>(r.next_tape_value<double>());
        return std::isfinite(*out);
    case tape_type::INT64:
        *out = static_cast<float>(r.next_tape_value<int64_t>());
        return true;
    case tape_type::UINT64:
        *out = static_cast<float>(r.next_tape_value<uint64_t>());
        return true;
    default:
        return false;
    }
}

template <typename T> size_t integer_text(T v, char *out)
{
    return static_cast<size_t>(std::to_chars(out, out + 32, v).ptr - out);
}

/*
 * Plain digits in the range where people write them, an exponent outside. Above, the standard library's plain form has all digits of
 * the number's exact value, more than are needed.
 */
template <typename T> size_t float_text(T v, char *out)
{
    JADE_ASSERT(std::isfinite(v));
    constexpr double PLAIN_MAX = sizeof(T) == sizeof(float) ? 16777216.0 : 1e15;
    double size = std::fabs(static_cast<double>(v));
    bool plain = size == 0.0 || (size >= 1e-5 && size < PLAIN_MAX);
    auto format = plain ? std::chars_format::fixed : std::chars_format::scientific;
    std::to_chars_result r = std::to_chars(out, out + 32, v, format);
    JADE_ASSERT(r.ec == std::errc());
    return static_cast<size_t>(r.ptr - out);
}

void write_double(double v, struct jade_buf *out)
{
    char text[32 + 2];
    size_t n = jade_f64_text(v, text);
    bool marked = std::any_of(text, text + n, [](char c) { return c == '.' || c == 'e'; });
    if (!marked) { /* 1.0 must not come back as the integer 1 */
        text[n++] = '.';
        text[n++] = '0';
    }
    jade_buf_append(out, text, n);
}

void write_scalar(const tape_ref &r, struct jade_buf *out)
{
    char text[32];
    switch (r.tape_ref_type()) {
    case tape_type::STRING:
        jadei_json_quote(out, r.get_c_str(), r.get_string_length());
        break;
    case tape_type::INT64:
        jade_buf_append(out, text, integer_text(r.next_tape_value<int64_t>(), text));
        break;
    case tape_type::UINT64:
        jade_buf_append(out, text, integer_text(r.next_tape_value<uint64_t>(), text));
        break;
    case tape_type::DOUBLE:
        write_double(r.next_tape_value<double>(), out);
        break;
    case tape_type::TRUE_VALUE:
        jade_buf_append_str(out, "true");
        break;
    case tape_type::FALSE_VALUE:
        jade_buf_append_str(out, "false");
        break;
    default:
        jade_buf_append_str(out, "null");
        break;
    }
}

} // namespace

extern "C" {

jade_code jade_json_parser_new(size_t max_bytes, size_t max_depth, struct jade_json_parser **out,
                               struct jade_err *err)
{
    JADE_ASSERT(max_depth >= 1 && max_depth <= JADE_JSON_DEPTH_MAX);
    *out = nullptr;
    void *memory = jade_alloc(JADE_TAG_REQUEST, sizeof(struct jade_json_parser));
    if (memory == nullptr) {
        return jade_fail(err, JADE_E_NOMEM, "no memory for a JSON parser");
    }
    *out =
        new (memory) jade_json_parser{simd_parser(max_bytes), max_bytes, max_depth, nullptr, 0, 0};
    return JADE_OK;
}

void jade_json_parser_trim(struct jade_json_parser *p)
{
    jade_free(p->text);
    p->text = nullptr;
    p->text_cap = 0;
    p->simd = simd_parser(p->max_bytes);
    account(p);
}

void jade_json_parser_free(struct jade_json_parser *p)
{
    if (p == nullptr) {
        return;
    }
    jade_json_parser_trim(p);
    p->~jade_json_parser();
    jade_free(p);
}

jade_code jade_json_parse(struct jade_json_parser *p, const void *bytes, size_t n,
                          struct jade_json *root_out, struct jade_err *err)
{
    if (n > p->max_bytes) {
        return jade_fail(err, JADE_E_TOO_LARGE, "JSON text of %zu bytes, at most %zu", n,
                         p->max_bytes);
    }
    if (n == 0) {
        return jade_fail(err, JADE_E_INVALID_JSON, "not valid JSON: the text is empty");
    }
    if (p->text_cap > KEEP_BYTES && n <= KEEP_BYTES) {
        jade_json_parser_trim(p);
    }
    if (n > p->text_cap && !grow(p, n)) {
        return refuse(p, n, simdjson::MEMALLOC, err);
    }
    std::memcpy(p->text, bytes, n);
    std::memset(p->text + n, ' ', simdjson::SIMDJSON_PADDING);
    struct jade_json root = value_at(&p->simd.doc, 1); /* word 0 is the root's bracket */
    simdjson::error_code code = p->simd.parse(p->text, n, false).error();
    if (code == simdjson::DEPTH_ERROR) {
        code = parse_at_limit(p, n, root);
    }
    if (code != simdjson::SUCCESS) {
        return refuse(p, n, code, err);
    }
    *root_out = root;
    return JADE_OK;
}

enum jade_json_type jade_json_type(struct jade_json v)
{
    switch (ref(v).tape_ref_type()) {
    case tape_type::START_OBJECT:
        return JADE_JSON_OBJECT;
    case tape_type::START_ARRAY:
        return JADE_JSON_ARRAY;
    case tape_type::STRING:
        return JADE_JSON_STRING;
    case tape_type::INT64:
        return JADE_JSON_INT;
    case tape_type::UINT64:
        return JADE_JSON_UINT;
    case tape_type::DOUBLE:
        return JADE_JSON_DOUBLE;
    case tape_type::TRUE_VALUE:
    case tape_type::FALSE_VALUE:
        return JADE_JSON_BOOL;
    default:
        return JADE_JSON_NULL;
    }
}

const char *jade_json_type_name(enum jade_json_type t)
{
    switch (t) {
    case JADE_JSON_BOOL:
        return "boolean";
    case JADE_JSON_INT:
    case JADE_JSON_UINT:
    case JADE_JSON_DOUBLE:
        return "number";
    case JADE_JSON_STRING:
        return "string";
    case JADE_JSON_ARRAY:
        return "array";
    case JADE_JSON_OBJECT:
        return "object";
    case JADE_JSON_NULL:
        break;
    }
    return "null";
}

bool jade_json_is_number(struct jade_json v)
{
    return is_number(ref(v).tape_ref_type());
}

bool jade_json_bool(struct jade_json v)
{
    JADE_ASSERT(jade_json_type(v) == JADE_JSON_BOOL);
    return ref(v).is_true();
}

int64_t jade_json_int(struct jade_json v)
{
    JADE_ASSERT(jade_json_type(v) == JADE_JSON_INT);
    return ref(v).next_tape_value<int64_t>();
}

uint64_t jade_json_uint(struct jade_json v)
{
    JADE_ASSERT(jade_json_type(v) == JADE_JSON_UINT || jade_json_int(v) >= 0);
    return ref(v).next_tape_value<uint64_t>();
}

double jade_json_double(struct jade_json v)
{
    tape_ref r = ref(v);
    JADE_ASSERT(is_number(r.tape_ref_type()));
    switch (r.tape_ref_type()) {
    case tape_type::INT64:
        return static_cast<double>(r.next_tape_value<int64_t>());
    case tape_type::UINT64:
        return static_cast<double>(r.next_tape_value<uint64_t>());
    default:
        return r.next_tape_value<double>();
    }
}

struct jade_str jade_json_string(struct jade_json v)
{
    JADE_ASSERT(jade_json_type(v) == JADE_JSON_STRING);
    return string_at(ref(v));
}

size_t jade_json_count(struct jade_json v)
{
    tape_ref r = ref(v);
    JADE_ASSERT(is_container(r.tape_ref_type()));
    size_t n = r.scope_count();
    if (n < simdjson::internal::JSON_COUNT_MASK) {
        return n;
    }
    size_t step = r.tape_ref_type() == tape_type::START_OBJECT ? 1 : 0; /* the key */
    n = 0;
    for (size_t i = v.index + 1, end = closing(r); i < end; n++) {
        i = tape_ref(r.doc, i + step).after_element();
    }
    return n;
}

size_t jade_json_depth(struct jade_json v)
{
    size_t depth = 0;
    size_t deepest = 0;
    for (size_t i = v.index, end = ref(v).after_element(); i < end;) {
        tape_type t = tape_ref(static_cast<const document *>(v.doc), i).tape_ref_type();
        if (is_container(t)) {
            depth++;
            deepest = std::max(deepest, depth);
        } else if (t == tape_type::END_ARRAY || t == tape_type::END_OBJECT) {
            depth--;
        }
        i += is_number(t) ? 2 : 1;
    }
    return deepest;
}

/* Begins or goes on; false at the closing bracket. */
static bool iter_ready(struct jade_json container, struct jade_json_iter *it)
{
    if (!it->started) {
        it->started = true;
        it->index = container.index + 1;
        it->end = closing(ref(container));
    }
    return it->index < it->end;
}

bool jade_json_array_next(struct jade_json array, struct jade_json_iter *it,
                          struct jade_json *value_out)
{
    JADE_ASSERT(it->started || jade_json_type(array) == JADE_JSON_ARRAY);
    if (!iter_ready(array, it)) {
        return false;
    }
    *value_out = value_at(array.doc, it->index);
    it->index = ref(*value_out).after_element();
    return true;
}

bool jade_json_object_next(struct jade_json object, struct jade_json_iter *it,
                           struct jade_str *key_out, struct jade_json *value_out)
{
    JADE_ASSERT(it->started || jade_json_type(object) == JADE_JSON_OBJECT);
    if (!iter_ready(object, it)) {
        return false;
    }
    *key_out = string_at(ref(value_at(object.doc, it->index)));
    *value_out = value_at(object.doc, it->index + 1);
    it->index = ref(*value_out).after_element();
    return true;
}

bool jade_json_get(struct jade_json object, const char *key, struct jade_json *value_out)
{
    struct jade_str wanted = {key, std::strlen(key)};
    struct jade_json_iter it = {};
    struct jade_str got;
    struct jade_json value;
    while (jade_json_object_next(object, &it, &got, &value)) {
        if (same(got, wanted)) {
            *value_out = value;
            return true;
        }
    }
    return false;
}

jade_code jade_json_f32(struct jade_json array, float *out, size_t n, const char *field,
                        struct jade_err *err)
{
    if (jade_json_type(array) != JADE_JSON_ARRAY) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, field,
                               "expected an array of numbers, got %s",
                               jade_json_type_name(jade_json_type(array)));
    }
    size_t count = jade_json_count(array);
    if (count != n) {
        return jade_fail_field(err, JADE_E_DIMENSION_MISMATCH, field,
                               "expected %zu numbers, got %zu", n, count);
    }
    tape_ref r = ref(array);
    r.json_index++;
    for (size_t i = 0; i < n; i++) {
        if (!as_f32(r, &out[i])) {
            return bad_element(r, field, i, err);
        }
        r.json_index += 2; /* a number is two words */
    }
    return JADE_OK;
}

jade_code jade_json_check_keys(struct jade_json v, const char *field, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    for (size_t i = v.index, end = ref(v).after_element(); rc == JADE_OK && i < end;) {
        struct jade_json at = value_at(v.doc, i);
        tape_type t = ref(at).tape_ref_type();
        if (t == tape_type::START_OBJECT) {
            size_t count = jade_json_count(at);
            rc = count <= KEYS_BY_PAIRS ? check_few_keys(at, field, err)
                                        : check_many_keys(at, count, field, err);
        }
        i += is_number(t) ? 2 : 1;
    }
    return rc;
}

void jade_json_write(struct jade_json v, struct jade_buf *out)
{
    bool object[JADE_JSON_DEPTH_MAX + 1]; /* of the container at that depth */
    bool comma = false;                   /* something stands before in this container */
    size_t depth = 0;
    tape_ref r = ref(v);
    for (size_t end = r.after_element(); r.json_index < end;) {
        tape_type t = r.tape_ref_type();
        if (t == tape_type::END_ARRAY || t == tape_type::END_OBJECT) {
            jade_buf_append_byte(out, static_cast<uint8_t>(t));
            depth--;
            comma = true;
            r.json_index++;
            continue;
        }
        if (comma) {
            jade_buf_append_byte(out, ',');
        }
        if (depth > 0 && object[depth]) {
            jadei_json_quote(out, r.get_c_str(), r.get_string_length());
            jade_buf_append_byte(out, ':');
            r.json_index++;
            t = r.tape_ref_type();
        }
        comma = !is_container(t);
        if (comma) {
            write_scalar(r, out);
        } else {
            JADE_ASSERT(depth < JADE_JSON_DEPTH_MAX);
            object[++depth] = t == tape_type::START_OBJECT;
            jade_buf_append_byte(out, static_cast<uint8_t>(t));
        }
        r.json_index += is_number(t) ? 2 : 1;
    }
}

size_t jade_f32_text(float v, char *out)
{
    return float_text(v, out);
}

size_t jade_f64_text(double v, char *out)
{
    return float_text(v, out);
}

} // extern "C"
