#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"

/* For the static analyzer these two are macros as well: see err.h. */
#undef jade_err_set
#undef jade_err_wrap

/* When context and message do not fit together the context gets this much, since the message names the cause. */
enum { CONTEXT_SIZE_MIN = 96 };

/* Text that was cut at `size`: drops a code point that was cut in two, and says by three dots that more was there. */
static void mark_cut(char *text, size_t size)
{
    size_t keep = size - sizeof "...";
    size_t back = 0;
    while (back < 4 && keep > 0 && ((unsigned char)text[keep] & 0xC0) == 0x80) {
        keep--;
        back++;
    }
    memcpy(text + keep, "...", sizeof "...");
}

/* vsnprintf that marks a cut. Returns the length now in text. */
static size_t format_text(char *text, size_t size, const char *format, va_list args)
{
    int n = vsnprintf(text, size, format, args);
    if (n < 0) { /* a wide-character argument that has no bytes in the locale */
        text[0] = '\0';
        return 0;
    }
    if ((size_t)n >= size) {
        mark_cut(text, size);
    }
    return strlen(text);
}

/* Appends s to a text of length n. */
static void append_text(char *text, size_t size, size_t n, const char *s)
{
    int added = snprintf(text + n, size - n, "%s", s);
    if (added >= 0 && (size_t)added >= size - n) {
        mark_cut(text, size);
    }
}

/* The place within the source tree: what lies before src/ is the build machine's affair. */
static const char *short_place(const char *file)
{
    const char *at = file;
    for (const char *next = strstr(at, "src/"); next != NULL; next = strstr(at, "src/")) {
        at = next + strlen("src/");
    }
    return at;
}

jade_code jade_err_set(struct jade_err *err, jade_code code, int errnum, const char *field,
                       const char *file, int line, const char *format, ...)
{
    JADE_ASSERT(code != JADE_OK);
    if (err == NULL) {
        return code;
    }
    int saved = errno;
    *err = (struct jade_err){
        .code = code, .os_errno = errnum, .line = line, .file = short_place(file)};
    if (field != NULL) {
        append_text(err->field, sizeof err->field, 0, field);
    }
    va_list args;
    va_start(args, format);
    size_t n = format_text(err->message, sizeof err->message, format, args);
    va_end(args);
    if (errnum != 0) {
        char reason[96];
        char text[96 + sizeof ": "];
        snprintf(text, sizeof text, ": %s", strerror_r(errnum, reason, sizeof reason));
        append_text(err->message, sizeof err->message, n, text);
    }
    errno = saved;
    return code;
}

jade_code jade_err_wrap(struct jade_err *err, jade_code code, const char *format, ...)
{
    if (err == NULL) {
        return code;
    }
    char cause[JADE_ERR_MESSAGE_SIZE];
    memcpy(cause, err->message, sizeof cause);
    size_t cause_len = strnlen(cause, sizeof cause - 1);
    cause[cause_len] = '\0';
    size_t room = sizeof err->message - strlen(": ") - cause_len;
    if (sizeof err->message < strlen(": ") + cause_len + CONTEXT_SIZE_MIN) {
        room = CONTEXT_SIZE_MIN;
    }
    va_list args;
    va_start(args, format);
    size_t n = format_text(err->message, room, format, args);
    va_end(args);
    if (cause_len > 0) {
        memcpy(err->message + n, ": ", sizeof ": ");
        append_text(err->message, sizeof err->message, n + strlen(": "), cause);
    }
    if (err->code == JADE_OK) {
        err->code = code;
    }
    return err->code;
}

void jade_err_prefix_field(struct jade_err *err, const char *prefix)
{
    if (err == NULL) {
        return;
    }
    char field[JADE_ERR_FIELD_SIZE];
    memcpy(field, err->field, sizeof field);
    bool dot = field[0] != '\0' && field[0] != '[' && prefix[0] != '\0';
    append_text(err->field, sizeof err->field, 0, prefix);
    append_text(err->field, sizeof err->field, strlen(err->field), dot ? "." : "");
    append_text(err->field, sizeof err->field, strlen(err->field), field);
}
