/*
 * Text to words. ASCII runs take a short path; a run with anything else goes through utf8proc.
 *
 * Folding is NFKC with full case folding and without default-ignorable code points, applied to pieces of at most PIECE_BYTES.
 * Pieces bound the work: reordering of combining marks is quadratic in the length of what it is given, and 64 KiB of marks
 * would take half a second. They are cut where normalisation cannot reach across: before an ASCII separator, or before a code
 * point that starts a new character. (Unicode Standard Annex 15; categories as in its chapter 4.)
 */
#include <string.h>
#include <utf8proc.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "embed/embed_private.h"

enum {
    PIECE_BYTES = 1024,
    /* One code point of 3 bytes becomes at most 18 (U+FDFA), so a piece becomes at most 6 a byte. */
    PIECE_POINTS = PIECE_BYTES * 6,
    LOOK_BACK_POINTS = 32, /* UAX 15's stream-safe text has at most 30 marks in a row */
    MARK_BEGIN = 0x02,     /* control characters cannot be part of a word */
    MARK_END = 0x03,
};

struct splitter {
    jadei_word_fn fn;
    void *ctx;
    struct jadei_word word; /* begun when n_points > 0 */
    bool after_ideograph;
};

static void word_begin(struct splitter *s)
{
    s->word.bytes[0] = MARK_BEGIN;
    s->word.start[0] = 0;
    s->word.start[1] = 1;
    s->word.n_points = 1;
    s->word.ideographic = false;
    s->word.joined = false;
}

static jade_code word_end(struct splitter *s, struct jade_err *err)
{
    struct jadei_word *w = &s->word;
    if (w->n_points == 0) {
        return JADE_OK;
    }
    uint16_t end = w->start[w->n_points];
    w->bytes[end] = MARK_END;
    w->n_points++;
    w->start[w->n_points] = (uint16_t)(end + 1);
    jade_code rc = s->fn(s->ctx, w, err);
    w->n_points = 0;
    return rc;
}

static jade_code word_add(struct splitter *s, const uint8_t *bytes, size_t n, struct jade_err *err)
{
    struct jadei_word *w = &s->word;
    if (w->n_points == 0) {
        word_begin(s);
    } else if (w->n_points == JADE_EMBED_WORD_POINTS_MAX + 1) {
        jade_code rc = word_end(s, err);
        if (rc != JADE_OK) {
            return rc;
        }
        word_begin(s);
    }
    uint16_t at = w->start[w->n_points];
    memcpy(w->bytes + at, bytes, n);
    w->n_points++;
    w->start[w->n_points] = (uint16_t)(at + n);
    return JADE_OK;
}

static jade_code gap(struct splitter *s, struct jade_err *err)
{
    s->after_ideograph = false;
    return word_end(s, err);
}

static bool ascii_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Han, Hiragana, Katakana and Bopomofo by their blocks: scripts that put no space between words. Hangul puts spaces. */
static bool is_ideographic(uint32_t c)
{
    static const uint32_t blocks[][2] = {
        {0x2E80, 0x2FDF}, {0x3005, 0x3007},   {0x3021, 0x3029},   {0x3041, 0x312F},
        {0x31A0, 0x31BF}, {0x31F0, 0x31FF},   {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},
        {0xF900, 0xFAFF}, {0x1B000, 0x1B16F}, {0x20000, 0x3FFFD},
    };
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        if (c >= blocks[i][0] && c <= blocks[i][1]) {
            return true;
        }
    }
    return false;
}

enum point_class { POINT_GAP, POINT_LETTER, POINT_MARK, POINT_ALONE };

static enum point_class class_of(utf8proc_int32_t c)
{
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return is_ideographic((uint32_t)c) ? POINT_ALONE : POINT_LETTER;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
        return POINT_MARK;
    case UTF8PROC_CATEGORY_SO:
        return POINT_ALONE;
    default:
        return POINT_GAP;
    }
}

static jade_code add_point(struct splitter *s, utf8proc_int32_t c, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    utf8proc_uint8_t bytes[4];
    size_t n = (size_t)utf8proc_encode_char(c, bytes);
    switch (class_of(c)) {
    case POINT_GAP:
        return gap(s, err);
    case POINT_MARK:
        /* A mark belongs to the letter before it; without one it says nothing. */
        return s->word.n_points > 0 ? word_add(s, bytes, n, err) : JADE_OK;
    case POINT_LETTER:
        s->after_ideograph = false;
        return word_add(s, bytes, n, err);
    case POINT_ALONE:
        JADE_TRY(word_end(s, err));
        JADE_TRY(word_add(s, bytes, n, err));
        s->word.ideographic = is_ideographic((uint32_t)c);
        s->word.joined = s->word.ideographic && s->after_ideograph;
        s->after_ideograph = s->word.ideographic;
        JADE_TRY(word_end(s, err));
        break;
    }
out:
    return rc;
}

static bool is_continuing(uint32_t c)
{
    bool jamo = c >= 0x1160 && c <= 0x11FF; /* vowels and finals compose with the syllable before */
    return jamo || class_of((utf8proc_int32_t)c) == POINT_MARK;
}

/* Bytes of the piece at p: up to the next ASCII separator, or to a border within PIECE_BYTES. *ascii_out: it is all ASCII. */
static size_t piece_end(const uint8_t *p, size_t n, bool *ascii_out)
{
    uint8_t bits = 0;
    size_t i = 0;
    size_t max = n < PIECE_BYTES ? n : PIECE_BYTES;
    while (i < max && (p[i] >= 0x80 || ascii_alnum(p[i]))) {
        bits |= p[i];
        i++;
    }
    *ascii_out = bits < 0x80;
    if (i < max || i == n) {
        return i;
    }
    /* Full: back to the start of a code point that continues nothing. Give up after a run no honest text has;
     * 32 code points are far fewer bytes than a piece, so i stays above 0. */
    size_t fallback = 0;
    for (unsigned tries = 0; tries < LOOK_BACK_POINTS; tries++) {
        while ((p[i] & 0xC0) == 0x80) {
            i--;
        }
        fallback = fallback == 0 ? i : fallback;
        uint32_t c = 0;
        size_t used = jade_utf8_decode(p + i, n - i, &c);
        JADE_ASSERT(used > 0);
        if (!is_continuing(c)) {
            return i;
        }
        i--;
    }
    return fallback;
}

static jade_code ascii_piece(struct splitter *s, const uint8_t *p, size_t n, struct jade_err *err)
{
    s->after_ideograph = false;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = p[i] >= 'A' && p[i] <= 'Z' ? (uint8_t)(p[i] | 0x20) : p[i];
        jade_code rc = word_add(s, &c, 1, err);
        if (rc != JADE_OK) {
            return rc;
        }
    }
    return JADE_OK;
}

static jade_code folded_piece(struct splitter *s, const uint8_t *p, size_t n, struct jade_err *err)
{
    const utf8proc_option_t options =
        UTF8PROC_COMPAT | UTF8PROC_COMPOSE | UTF8PROC_STABLE | UTF8PROC_CASEFOLD | UTF8PROC_IGNORE;
    utf8proc_int32_t points[PIECE_POINTS];
    utf8proc_ssize_t got =
        utf8proc_decompose(p, (utf8proc_ssize_t)n, points, PIECE_POINTS, options);
    if (got < 0 || got > PIECE_POINTS) {
        return jade_fail(err, JADE_E_INTERNAL, "folding %zu bytes of text gave %td code points: %s",
                         n, got, got < 0 ? utf8proc_errmsg(got) : "more than expected");
    }
    got = utf8proc_normalize_utf32(points, got, options);
    for (utf8proc_ssize_t i = 0; i < got; i++) {
        jade_code rc = add_point(s, points[i], err);
        if (rc != JADE_OK) {
            return rc;
        }
    }
    return JADE_OK;
}

jade_code jadei_words_each(struct jade_str text, jadei_word_fn fn, void *ctx, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const uint8_t *p = (const uint8_t *)text.p;
    struct splitter s;
    s.fn = fn;
    s.ctx = ctx;
    s.after_ideograph = false;
    s.word.n_points = 0;
    for (size_t i = 0; i < text.n;) {
        bool ascii = false;
        size_t n = piece_end(p + i, text.n - i, &ascii);
        if (n == 0) {
            JADE_TRY(gap(&s, err));
            i++;
        } else {
            JADE_TRY(ascii ? ascii_piece(&s, p + i, n, err) : folded_piece(&s, p + i, n, err));
            i += n;
        }
    }
    JADE_TRY(word_end(&s, err));
out:
    return rc;
}
