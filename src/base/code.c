#include "jade/code.h"

/* One row a code; a switch keeps each lookup total, also for numbers that came from outside. */
struct code_row {
    const char *name;
    const char *text;
    const char *category;
    int http;
    bool retryable;
};

static const struct code_row *find_row(jade_code code)
{
    static const struct code_row unknown = {"UNKNOWN", "not a code of this version", "system", 500,
                                            false};
    switch (code) {
#define CODE_CASE(symbol, number, name, http, category, retryable, text)            \
    case symbol: {                                                                  \
        static const struct code_row row = {name, text, category, http, retryable}; \
        return &row;                                                                \
    }
        JADE_CODES(CODE_CASE)
#undef CODE_CASE
    }
    return &unknown;
}

const char *jade_code_name(jade_code code)
{
    return find_row(code)->name;
}

const char *jade_code_text(jade_code code)
{
    return find_row(code)->text;
}

int jade_code_http(jade_code code)
{
    return find_row(code)->http;
}

const char *jade_code_category(jade_code code)
{
    return find_row(code)->category;
}

bool jade_code_retryable(jade_code code)
{
    return find_row(code)->retryable;
}
