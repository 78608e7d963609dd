#include "cli/progress.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "os/os.h"

enum {
    DRAW_US = 200000,
    PLAIN_US = 5000000, /* between two lines in a log */
    BAR = 24,
    ETA_MAX_S = 359999, /* 99:59:59 */
};

void jade_grouped(uint64_t v, struct jade_buf *out)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%" PRIu64, v);
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0) {
            jade_buf_append_byte(out, ',');
        }
        jade_buf_append_byte(out, (uint8_t)digits[i]);
    }
}

static void append_bar(double part, unsigned width, struct jade_buf *out)
{
    unsigned full = (unsigned)(part * width);
    jade_buf_append_byte(out, '[');
    for (unsigned i = 0; i < width; i++) {
        jade_buf_append_byte(out, i < full ? '#' : '.');
    }
    jade_buf_append_str(out, "] ");
}

static void append_time(double seconds, struct jade_buf *out)
{
    unsigned s = seconds < ETA_MAX_S ? (unsigned)(seconds + 0.5) : ETA_MAX_S;
    if (s >= 3600) {
        jade_buf_printf(out, "%u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
    } else {
        jade_buf_printf(out, "%u:%02u", s / 60, s % 60);
    }
}

void jade_progress_line(const struct jade_progress *p, double seconds, unsigned bar,
                        struct jade_buf *out)
{
    uint64_t done = atomic_load(&p->n_done), bad = atomic_load(&p->n_bad);
    uint64_t bytes = atomic_load(&p->bytes_done), all = atomic_load(&p->bytes_all);
    double part = all > 0 ? (double)bytes / (double)all : 0;
    part = part > 1 ? 1 : part;
    if (bar > 0 && all > 0) {
        append_bar(part, bar, out);
    }
    if (all > 0) {
        jade_buf_printf(out, "%3.0f %%  ", part * 100);
    }
    jade_grouped(done, out);
    jade_buf_append_str(out, " rows  ");
    jade_grouped((uint64_t)(seconds > 0 ? (double)done / seconds : 0), out);
    jade_buf_append_str(out, " rows/s");
    if (all > 0 && part > 0 && part < 1) {
        jade_buf_append_str(out, "  ETA ");
        append_time(seconds * (1 - part) / part, out);
    }
    if (bad > 0) {
        jade_buf_append_str(out, "  ");
        jade_grouped(bad, out);
        jade_buf_append_str(out, " bad");
    }
}

/* The mutex is held: a line of somebody else never stands in the middle. */
static void draw(struct jade_progress *p)
{
    struct jade_buf line;
    jade_buf_init(&line, JADE_TAG_OTHER);
    double seconds = (double)(jade_os_mono_us(jade_os_posix()) - p->began_us) / 1e6;
    jade_progress_line(p, seconds, p->live ? BAR : 0, &line);
    if (jade_buf_status(&line, NULL) == JADE_OK) {
        fprintf(p->out, "%s%.*s%s", p->live ? "\r\033[K" : "", (int)line.len,
                (const char *)line.data, p->live ? "" : "\n");
        fflush(p->out);
    }
    jade_buf_release(&line);
}

static void *run(void *arg)
{
    struct jade_progress *p = arg;
    jade_mutex_lock(&p->mutex);
    while (!p->ended) {
        if (!jade_cond_wait_for(&p->cond, &p->mutex, p->live ? DRAW_US : PLAIN_US) && !p->ended) {
            draw(p);
        }
    }
    jade_mutex_unlock(&p->mutex);
    return NULL;
}

jade_code jade_progress_start(struct jade_progress *p, FILE *out, bool quiet, struct jade_err *err)
{
    memset(p, 0, sizeof *p);
    p->out = out;
    p->live = !quiet && isatty(fileno(out)) == 1;
    p->began_us = jade_os_mono_us(jade_os_posix());
    jade_mutex_init(&p->mutex);
    jade_cond_init(&p->cond);
    return quiet ? JADE_OK : jade_thread_start(&p->thread, "progress", 0, run, p, err);
}

void jade_progress_stop(struct jade_progress *p)
{
    jade_mutex_lock(&p->mutex);
    p->ended = true;
    jade_cond_broadcast(&p->cond);
    jade_mutex_unlock(&p->mutex);
    jade_thread_join(&p->thread);
    if (p->live) {
        fputs("\r\033[K", p->out);
        fflush(p->out);
    }
    jade_cond_release(&p->cond);
    jade_mutex_release(&p->mutex);
}

void jade_progress_say(struct jade_progress *p, const char *format, ...)
{
    va_list args;
    jade_mutex_lock(&p->mutex);
    if (p->live) {
        fputs("\r\033[K", p->out);
    }
    va_start(args, format);
    vfprintf(p->out, format, args);
    va_end(args);
    fputc('\n', p->out);
    jade_mutex_unlock(&p->mutex);
}
