#include "format/codec.h"

/* Bytes in order, so that the code is right on either endianness; gcc and clang make one load of it. */
uint16_t jade_load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | (uint16_t)p[1] << 8);
}

uint32_t jade_load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint64_t jade_load_u64(const uint8_t *p)
{
    return (uint64_t)jade_load_u32(p) | (uint64_t)jade_load_u32(p + 4) << 32;
}

void jade_store_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

void jade_store_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}

void jade_store_u64(uint8_t *p, uint64_t v)
{
    jade_store_u32(p, (uint32_t)v);
    jade_store_u32(p + 4, (uint32_t)(v >> 32));
}

const uint8_t *jade_get_bytes(struct jade_reader *r, size_t n)
{
    if (r->bad || n > r->n - r->pos) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *at = r->p + r->pos;
    r->pos += n;
    return at;
}

uint8_t jade_get_u8(struct jade_reader *r)
{
    const uint8_t *p = jade_get_bytes(r, 1);
    return p == NULL ? 0 : p[0];
}

uint16_t jade_get_u16(struct jade_reader *r)
{
    const uint8_t *p = jade_get_bytes(r, 2);
    return p == NULL ? 0 : jade_load_u16(p);
}

uint32_t jade_get_u32(struct jade_reader *r)
{
    const uint8_t *p = jade_get_bytes(r, 4);
    return p == NULL ? 0 : jade_load_u32(p);
}

uint64_t jade_get_u64(struct jade_reader *r)
{
    const uint8_t *p = jade_get_bytes(r, 8);
    return p == NULL ? 0 : jade_load_u64(p);
}

int64_t jade_get_i64(struct jade_reader *r)
{
    return (int64_t)jade_get_u64(r);
}

size_t jade_reader_left(const struct jade_reader *r)
{
    return r->bad ? 0 : r->n - r->pos;
}

jade_code jade_reader_status(const struct jade_reader *r, const char *what, struct jade_err *err)
{
    if (r->bad) {
        return jade_fail(err, JADE_E_CORRUPT,
                         "%s ends early: byte %zu of %zu is the last that was whole", what, r->pos,
                         r->n);
    }
    return JADE_OK;
}

void jade_put_u8(struct jade_buf *b, uint8_t v)
{
    jade_buf_append_byte(b, v);
}

void jade_put_u16(struct jade_buf *b, uint16_t v)
{
    uint8_t *p = jade_buf_extend(b, 2);
    if (p != NULL) {
        jade_store_u16(p, v);
    }
}

void jade_put_u32(struct jade_buf *b, uint32_t v)
{
    uint8_t *p = jade_buf_extend(b, 4);
    if (p != NULL) {
        jade_store_u32(p, v);
    }
}

void jade_put_u64(struct jade_buf *b, uint64_t v)
{
    uint8_t *p = jade_buf_extend(b, 8);
    if (p != NULL) {
        jade_store_u64(p, v);
    }
}

void jade_put_i64(struct jade_buf *b, int64_t v)
{
    jade_put_u64(b, (uint64_t)v);
}
