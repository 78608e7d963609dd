#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "cli/output.h"

enum { GAP = 2, LAST_MIN = 12 };

void jade_table_init(struct jade_table *t, const char *const *titles, unsigned n)
{
    JADE_ASSERT(n > 0 && n <= JADE_TABLE_COLUMNS_MAX);
    memset(t, 0, sizeof *t);
    jade_buf_init(&t->text, JADE_TAG_OTHER);
    t->n_columns = n;
    for (unsigned i = 0; i < n; i++) {
        t->right[i] = titles[i][0] == '>';
        t->title[i] = titles[i] + (t->right[i] ? 1 : 0);
    }
}

void jade_table_release(struct jade_table *t)
{
    jade_buf_release(&t->text);
}

/* The code point at s (n > 0) as it is shown: what is malformed or a control character counts as one '?'. */
static size_t shown(const char *s, size_t n, unsigned *width, bool *is_control)
{
    uint32_t point = 0;
    size_t len = jade_utf8_decode(s, n, &point);
    *is_control = len == 0 || point < 0x20 || (point >= 0x7F && point < 0xA0) ||
                  (point >= 0x202A && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069);
    *width = *is_control ? 1 : jade_utf8_width(point);
    return len ? len : 1;
}

unsigned jade_text_width(const char *s, size_t n)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n;) {
        unsigned width;
        bool is_control;
        i += shown(s + i, n - i, &width, &is_control);
        sum += width;
    }
    return sum;
}

/* Cells hold no NUL and no control character from here on. */
void jade_table_cell(struct jade_table *t, const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        unsigned width;
        bool is_control;
        size_t len = shown(text + i, n - i, &width, &is_control);
        if (is_control) {
            jade_buf_append_byte(&t->text, '?');
        } else {
            jade_buf_append(&t->text, text + i, len);
        }
        i += len;
    }
    jade_buf_append_byte(&t->text, 0);
    t->n_cells++;
}

void jade_table_cell_str(struct jade_table *t, const char *text)
{
    jade_table_cell(t, text, strlen(text));
}

static void pad(struct jade_buf *out, unsigned n)
{
    for (; n > 0; n--) {
        jade_buf_append_byte(out, ' ');
    }
}

/* Appends text cut to `max` columns, with a mark where it was cut. */
static void append_cut(struct jade_buf *out, const char *text, unsigned max)
{
    size_t n = strlen(text), i = 0;
    unsigned used = 0;
    if (jade_text_width(text, n) <= max) {
        jade_buf_append(out, text, n);
        return;
    }
    while (i < n) {
        unsigned width;
        bool is_control;
        size_t len = shown(text + i, n - i, &width, &is_control);
        if (used + width + 1 > max) {
            break;
        }
        jade_buf_append(out, text + i, len);
        used += width;
        i += len;
    }
    jade_buf_append_str(out, "\u2026");
}

static void append_row(const struct jade_table *t, const char *const *cells, const unsigned *widths,
                       struct jade_buf *out)
{
    for (unsigned c = 0; c < t->n_columns; c++) {
        bool is_last = c + 1 == t->n_columns;
        unsigned have = jade_text_width(cells[c], strlen(cells[c]));
        unsigned fill = have < widths[c] ? widths[c] - have : 0;
        pad(out, t->right[c] ? fill : 0);
        append_cut(out, cells[c], widths[c]);
        if (!is_last) {
            pad(out, (t->right[c] ? 0 : fill) + GAP);
        }
    }
    jade_buf_append_byte(out, '\n');
}

/* Cells of the next row; the position moves on. */
static const char *take_row(const struct jade_table *t, const char *at, const char **cells)
{
    for (unsigned c = 0; c < t->n_columns; c++) {
        cells[c] = at;
        at += strlen(at) + 1;
    }
    return at;
}

static void measure(const struct jade_table *t, unsigned *widths)
{
    const char *cells[JADE_TABLE_COLUMNS_MAX];
    const char *at = (const char *)t->text.data;
    for (unsigned c = 0; c < t->n_columns; c++) {
        widths[c] = jade_text_width(t->title[c], strlen(t->title[c]));
    }
    for (size_t row = 0; row < t->n_cells / t->n_columns; row++) {
        at = take_row(t, at, cells);
        for (unsigned c = 0; c < t->n_columns; c++) {
            unsigned have = jade_text_width(cells[c], strlen(cells[c]));
            widths[c] = have > widths[c] ? have : widths[c];
        }
    }
}

/* The last column gives way, down to LAST_MIN; what then still is too long wraps. */
static void fit(unsigned n, unsigned *widths, unsigned width)
{
    unsigned before = 0;
    for (unsigned c = 0; c + 1 < n; c++) {
        before += widths[c] + GAP;
    }
    unsigned left = before + LAST_MIN < width ? width - before : LAST_MIN;
    if (width > 0 && widths[n - 1] > left) {
        widths[n - 1] = left;
    }
}

jade_code jade_table_write(const struct jade_table *t, unsigned width, struct jade_buf *out,
                           struct jade_err *err)
{
    unsigned widths[JADE_TABLE_COLUMNS_MAX];
    const char *cells[JADE_TABLE_COLUMNS_MAX];
    JADE_ASSERT(t->n_cells % t->n_columns == 0);
    if (t->text.failed) {
        return jade_buf_status(&t->text, err);
    }
    measure(t, widths);
    fit(t->n_columns, widths, width);
    append_row(t, t->title, widths, out);
    const char *at = (const char *)t->text.data;
    for (size_t row = 0; row < t->n_cells / t->n_columns; row++) {
        at = take_row(t, at, cells);
        append_row(t, cells, widths, out);
    }
    return jade_buf_status(out, err);
}

unsigned jade_terminal_width(FILE *stream)
{
    struct winsize size;
    int fd = fileno(stream);
    if (fd < 0 || !isatty(fd)) {
        return 0;
    }
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

jade_code jade_table_print(const struct jade_table *t, FILE *out, const char *empty,
                           struct jade_err *err)
{
    struct jade_buf b;
    jade_buf_init(&b, JADE_TAG_OTHER);
    jade_code rc = JADE_OK;
    if (t->n_cells == 0 && !t->text.failed && empty) {
        fprintf(out, "%s\n", empty);
    } else {
        rc = jade_table_write(t, jade_terminal_width(out), &b, err);
    }
    if (rc == JADE_OK && b.len > 0) {
        fwrite(b.data, 1, b.len, out);
    }
    jade_buf_release(&b);
    return rc;
}
