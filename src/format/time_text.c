/* RFC 3339 times, both ways, without the C library's calendar (which knows time zones, locales and shared state). */
#include <stdio.h>

#include "format/json_out.h"

#define US_PER_SECOND   INT64_C(1000000)
#define SECONDS_PER_DAY INT64_C(86400)
/* Days of 400 years of the Gregorian calendar. */
#define DAYS_PER_ERA 146097
/* Days from 0000-03-01 to 1970-01-01. */
#define DAYS_TO_1970 719468

struct date {
    int64_t year;
    unsigned month, day; /* from 1 */
};

static bool leap_year(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned days_of_month(int64_t year, unsigned month)
{
    static const unsigned days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && leap_year(year) ? 29 : days[month - 1];
}

/* Years begin in March here, so that the leap day is the last of its year. */
static int64_t days_from_date(struct date d)
{
    int64_t year = d.month <= 2 ? d.year - 1 : d.year;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t month_from_march = (d.month + 9) % 12;
    /* Months from March have 31 30 31 30 31, 31 30 31 30 31, 31 ...: 153 days in five. */
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + d.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

static struct date date_from_days(int64_t days)
{
    days += DAYS_TO_1970;
    int64_t era = (days >= 0 ? days : days - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    int64_t day_of_era = days - era * DAYS_PER_ERA;
    /* Takes out the leap days before (one in 4 years, none in 100, one in 400). */
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / (DAYS_PER_ERA - 1)) /
        365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    struct date d = {
        .year = era * 400 + year_of_era,
        .month = (unsigned)((month_from_march + 2) % 12 + 1),
        .day = (unsigned)(day_of_year - (153 * month_from_march + 2) / 5 + 1),
    };
    if (d.month <= 2) {
        d.year++;
    }
    return d;
}

/* ---- reading ---- */

struct text {
    const char *p;
    size_t n;
    bool bad;
};

/* Exactly `count` digits, their value in [low, high]. */
static unsigned take_number(struct text *t, size_t count, unsigned low, unsigned high)
{
    unsigned v = 0;
    if (t->bad || t->n < count) {
        t->bad = true;
        return low;
    }
    for (size_t i = 0; i < count; i++) {
        if (t->p[i] < '0' || t->p[i] > '9') {
            t->bad = true;
            return low;
        }
        v = v * 10 + (unsigned)(t->p[i] - '0');
    }
    t->p += count;
    t->n -= count;
    if (v < low || v > high) {
        t->bad = true;
        return low;
    }
    return v;
}

/* One character out of `set`; it is returned. */
static char take_char(struct text *t, const char *set)
{
    for (const char *c = set; !t->bad && t->n > 0 && *c != '\0'; c++) {
        if (t->p[0] == *c) {
            t->p++;
            t->n--;
            return *c;
        }
    }
    t->bad = true;
    return '\0';
}

/* .digits, any number of them; what is below a microsecond is dropped. */
static int64_t take_fraction_us(struct text *t)
{
    if (t->bad || t->n == 0 || t->p[0] != '.') {
        return 0;
    }
    take_char(t, ".");
    int64_t us = take_number(t, 1, 0, 9) * INT64_C(100000);
    for (int64_t unit = 10000; !t->bad && t->n > 0 && t->p[0] >= '0' && t->p[0] <= '9';
         unit /= 10) {
        us += unit * take_number(t, 1, 0, 9);
    }
    return us;
}

/* Z or +hh:mm: seconds to take off. */
static int64_t take_offset(struct text *t)
{
    char sign = take_char(t, "Zz+-");
    if (sign == 'Z' || sign == 'z') {
        return 0;
    }
    int64_t hours = take_number(t, 2, 0, 23);
    take_char(t, ":");
    int64_t minutes = take_number(t, 2, 0, 59);
    int64_t seconds = hours * 3600 + minutes * 60;
    return sign == '-' ? -seconds : seconds;
}

bool jade_time_parse(const char *s, size_t n, int64_t *wall_us_out)
{
    struct text t = {.p = s, .n = n};
    struct date d = {0};
    d.year = take_number(&t, 4, 0, 9999);
    take_char(&t, "-");
    d.month = take_number(&t, 2, 1, 12);
    take_char(&t, "-");
    d.day = take_number(&t, 2, 1, days_of_month(d.year, d.month));
    if (t.bad) {
        return false;
    }
    int64_t seconds = days_from_date(d) * SECONDS_PER_DAY;
    if (t.n == 0) {
        *wall_us_out = seconds * US_PER_SECOND;
        return true;
    }
    take_char(&t, "Tt ");
    seconds += take_number(&t, 2, 0, 23) * INT64_C(3600);
    take_char(&t, ":");
    seconds += take_number(&t, 2, 0, 59) * INT64_C(60);
    take_char(&t, ":");
    unsigned second = take_number(&t, 2, 0, 60);
    int64_t fraction_us = take_fraction_us(&t);
    seconds -= take_offset(&t);
    /* A leap second ends a day in UTC, nothing else has a second 60; it counts as the one that follows. */
    bool leap_place = (seconds % SECONDS_PER_DAY + SECONDS_PER_DAY) % SECONDS_PER_DAY == 86340;
    if (t.bad || t.n != 0 || (second == 60 && !leap_place)) {
        return false;
    }
    *wall_us_out = (seconds + second) * US_PER_SECOND + fraction_us;
    return true;
}

/* ---- writing ---- */

void jade_out_time(struct jade_json_out *o, int64_t wall_us)
{
    int64_t us = wall_us % US_PER_SECOND;
    int64_t all_seconds = wall_us / US_PER_SECOND;
    if (us < 0) {
        us += US_PER_SECOND;
        all_seconds--;
    }
    int64_t second = (all_seconds % SECONDS_PER_DAY + SECONDS_PER_DAY) % SECONDS_PER_DAY;
    struct date d = date_from_days((all_seconds - second) / SECONDS_PER_DAY);
    if (d.year < 0 || d.year > 9999) {
        jade_out_null(o);
        return;
    }
    char text[80];
    int n =
        snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ", (int)d.year, d.month,
                 d.day, (int)(second / 3600), (int)(second / 60 % 60), (int)(second % 60), (int)us);
    jade_out_strn(o, text, (size_t)n);
}
