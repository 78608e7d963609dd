#include "cli/input.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/assert.h"

enum { CAP_FIRST = 1 << 20 };

jade_code jade_input_open(struct jade_input *in, const char *path, struct jade_err *err)
{
    struct stat st;
    memset(in, 0, sizeof *in);
    in->is_stdin = strcmp(path, "-") == 0;
    in->name = in->is_stdin ? "standard input" : path;
    in->file = in->is_stdin ? stdin : fopen(path, "rb");
    if (!in->file) {
        return jade_fail_errno(err, JADE_E_IO, errno, "%s", path);
    }
    if (fstat(fileno(in->file), &st) == 0) {
        if (S_ISDIR(st.st_mode)) {
            return jade_fail(err, JADE_E_IO, "%s is a folder", in->name);
        }
        in->size_bytes = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    }
    in->cap = CAP_FIRST;
    in->data = jade_alloc(JADE_TAG_OTHER, in->cap);
    return in->data ? JADE_OK : jade_fail(err, JADE_E_NOMEM, "a buffer of %zu bytes", in->cap);
}

void jade_input_close(struct jade_input *in)
{
    if (in->file && !in->is_stdin) {
        fclose(in->file);
    }
    in->file = NULL;
    jade_free(in->data);
    in->data = NULL;
}

/* Reads until `want` bytes are there, the file ends, or the buffer is as large as it may get. */
static jade_code fill(struct jade_input *in, size_t want, struct jade_err *err)
{
    while (in->end - in->begin < want && !in->at_end) {
        if (in->begin > 0) {
            memmove(in->data, in->data + in->begin, in->end - in->begin);
            in->end -= in->begin;
            in->begin = 0;
        }
        if (in->end == in->cap) {
            char *more = jade_realloc(JADE_TAG_OTHER, in->data, in->cap * 2);
            if (!more) {
                return jade_fail(err, JADE_E_NOMEM, "a line of more than %zu bytes", in->cap);
            }
            in->data = more;
            in->cap *= 2;
        }
        size_t got = fread(in->data + in->end, 1, in->cap - in->end, in->file);
        in->end += got;
        if (got == 0 && ferror(in->file)) {
            return jade_fail_errno(err, JADE_E_IO, errno, "reading %s", in->name);
        }
        in->at_end = got == 0;
    }
    return JADE_OK;
}

jade_code jade_input_peek(struct jade_input *in, size_t n, const char **out, size_t *got,
                          struct jade_err *err)
{
    jade_code rc = fill(in, n, err);
    *out = in->data + in->begin;
    *got = in->end - in->begin < n ? in->end - in->begin : n;
    return rc;
}

jade_code jade_input_take(struct jade_input *in, size_t n, const char **out, size_t *got,
                          struct jade_err *err)
{
    JADE_ASSERT(n <= JADE_INPUT_LINE_MAX);
    jade_code rc = jade_input_peek(in, n, out, got, err);
    if (rc == JADE_OK) {
        in->begin += *got;
        in->taken += *got;
    }
    return rc;
}

/* Drops bytes up to and with the next end of line. */
static jade_code skip_line(struct jade_input *in, struct jade_err *err)
{
    for (;;) {
        size_t n = in->end - in->begin;
        const char *at = n > 0 ? memchr(in->data + in->begin, '\n', n) : NULL;
        size_t drop = at ? (size_t)(at - (in->data + in->begin)) + 1 : n;
        in->begin += drop;
        in->taken += drop;
        if (at) {
            return JADE_OK;
        }
        jade_code rc = fill(in, 1, err);
        if (rc != JADE_OK || in->begin == in->end) {
            return rc;
        }
    }
}

jade_code jade_input_line(struct jade_input *in, const char **out, size_t *n, enum jade_line *what,
                          struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const char *end = NULL;
    size_t seen = 0; /* bytes that hold no end of line */
    for (;;) {
        size_t have = in->end - in->begin;
        end = have > seen ? memchr(in->data + in->begin + seen, '\n', have - seen) : NULL;
        seen = have;
        if (end || in->at_end || have > JADE_INPUT_LINE_MAX) {
            break;
        }
        JADE_TRY(fill(in, have + 1, err));
    }
    *out = in->data + in->begin;
    *n = end ? (size_t)(end - *out) : in->end - in->begin;
    *what = *n > JADE_INPUT_LINE_MAX ? JADE_LINE_TOO_LONG : JADE_LINE_OK;
    if (!end && *n == 0) {
        *what = JADE_LINE_END;
        goto out;
    }
    in->line++;
    if (*what == JADE_LINE_TOO_LONG) {
        JADE_TRY(skip_line(in, err));
        goto out;
    }
    in->begin += *n + (end ? 1 : 0);
    in->taken += *n + (end ? 1 : 0);
    if (*n > 0 && (*out)[*n - 1] == '\r') {
        --*n;
    }
out:
    return rc;
}
