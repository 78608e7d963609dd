#include <string.h>

#include "cli/output.h"

bool jade_output_parse(const char *name, enum jade_output *out)
{
    static const char *const names[] = {"table", "json", "yaml"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            *out = (enum jade_output)i;
            return true;
        }
    }
    return false;
}

void jade_print_json(FILE *out, struct jade_json v)
{
    struct jade_buf b;
    jade_buf_init(&b, JADE_TAG_OTHER);
    jade_json_write(v, &b);
    jade_buf_append_byte(&b, '\n');
    if (jade_buf_status(&b, NULL) == JADE_OK) {
        fwrite(b.data, 1, b.len, out);
    }
    jade_buf_release(&b);
}
