/*
 * JSON in and out. Invariants: a document that is taken is written, taken again and written the same; everything in it can be visited;
 * a document that is refused has a place and a reason (two readers agree on the language).
 */
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "format/json.h"
#include "format/json_out.h"

enum { BYTES_MAX = 1 << 16, DEPTH_MAX = 12, STACK_MAX = DEPTH_MAX + 1 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every value by the iterators, with a stack that the depth limit bounds. */
static void visit_all(struct jade_json root)
{
    struct {
        struct jade_json v;
        struct jade_json_iter it;
    } stack[STACK_MAX] = {{.v = root}};
    float values[8];
    for (size_t depth = 1; depth > 0;) {
        struct jade_json v = stack[depth - 1].v;
        struct jade_json_iter *it = &stack[depth - 1].it;
        struct jade_str key;
        struct jade_json child;
        bool more = false;
        switch (jade_json_type(v)) {
        case JADE_JSON_OBJECT:
            more = jade_json_object_next(v, it, &key, &child);
            JADE_ASSERT(!more || (jade_utf8_valid(key.p, key.n) && key.p[key.n] == '\0'));
            break;
        case JADE_JSON_ARRAY:
            (void)jade_json_f32(v, values, 8, "values", NULL);
            more = jade_json_array_next(v, it, &child);
            break;
        case JADE_JSON_STRING:
            key = jade_json_string(v);
            JADE_ASSERT(jade_utf8_valid(key.p, key.n));
            int64_t us;
            (void)jade_time_parse(key.p, key.n, &us);
            break;
        default:
            JADE_ASSERT(!jade_json_is_number(v) || jade_json_double(v) == jade_json_double(v));
            break;
        }
        if (more) {
            JADE_ASSERT(depth < STACK_MAX);
            stack[depth].v = child;
            stack[depth].it = (struct jade_json_iter){0};
            depth++;
        } else {
            depth--;
        }
    }
}

static void write_and_read_again(struct jade_json root, struct jade_json_parser *second)
{
    struct jade_buf first;
    struct jade_buf again;
    struct jade_json v;
    jade_buf_init(&first, JADE_TAG_TEST);
    jade_buf_init(&again, JADE_TAG_TEST);
    jade_json_write(root, &first);
    JADE_ASSERT(jade_json_parse(second, first.data, first.len, &v, NULL) == JADE_OK);
    jade_json_write(v, &again);
    JADE_ASSERT(first.len == again.len && memcmp(first.data, again.data, first.len) == 0);
    JADE_ASSERT(jade_json_depth(v) == jade_json_depth(root));
    JADE_ASSERT(jade_json_check_keys(v, "v", NULL) == jade_json_check_keys(root, "root", NULL));
    jade_buf_release(&first);
    jade_buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct jade_json_parser *parser;
    static struct jade_json_parser *second;
    if (parser == NULL) {
        JADE_ASSERT(jade_json_parser_new(BYTES_MAX, DEPTH_MAX, &parser, NULL) == JADE_OK);
        /* control characters and U+2028-free escapes may make the text six times as long */
        JADE_ASSERT(jade_json_parser_new(BYTES_MAX * 6, DEPTH_MAX, &second, NULL) == JADE_OK);
    }
    struct jade_json root;
    struct jade_err err = {0};
    jade_code rc = jade_json_parse(parser, data, size, &root, &err);
    if (rc == JADE_OK) {
        JADE_ASSERT(jade_json_depth(root) <= DEPTH_MAX);
        visit_all(root);
        write_and_read_again(root, second);
    } else if (rc == JADE_E_INVALID_JSON && size > 0) {
        JADE_ASSERT(strstr(err.message, " at byte ") != NULL);
    }
    return 0;
}
