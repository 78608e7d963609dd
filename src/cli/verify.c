#include "cli/verify.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/limits.h"
#include "format/json_out.h"

/* A value goes out with the digits that bring the same float32 back; the slack is for servers that compute with it. */
static const double VALUE_SLACK = 1e-6;
/* A score is a sum of up to 16,384 products in float32. */
static const double SCORE_SLACK = 1e-4;

/* ---- the sample ---- */

void jade_verify_init(struct jade_verify *v)
{
    memset(v, 0, sizeof *v);
    jade_mutex_init(&v->mutex);
    jade_random_init(&v->random, 1); /* a second run of an import looks at the same rows */
    for (unsigned i = 0; i < JADE_VERIFY_ROWS_MAX; i++) {
        jade_buf_init(&v->row[i].id, JADE_TAG_OTHER);
        jade_buf_init(&v->row[i].values, JADE_TAG_OTHER);
    }
}

void jade_verify_release(struct jade_verify *v)
{
    for (unsigned i = 0; i < JADE_VERIFY_ROWS_MAX; i++) {
        jade_buf_release(&v->row[i].id);
        jade_buf_release(&v->row[i].values);
    }
    jade_mutex_release(&v->mutex);
}

/* The place of a row: that of its id when it is there, else the reservoir's choice; NULL: it is not taken. */
static struct jade_verify_row *place_of(struct jade_verify *v, const struct jade_row *row)
{
    for (unsigned i = 0; i < JADE_VERIFY_ROWS_MAX; i++) {
        struct jade_verify_row *r = &v->row[i];
        if (r->used && r->id.len == row->id_len + 1 &&
            memcmp(r->id.data, row->id, row->id_len) == 0) {
            return r;
        }
    }
    v->n_seen++;
    uint64_t at = v->n_seen <= JADE_VERIFY_ROWS_MAX ? v->n_seen - 1
                                                    : jade_random_below(&v->random, v->n_seen);
    return at < JADE_VERIFY_ROWS_MAX ? &v->row[at] : NULL;
}

jade_code jade_verify_put(struct jade_verify *v, const struct jade_row *row, const float *values,
                          bool is_distinct, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    jade_mutex_lock(&v->mutex);
    v->n_distinct += is_distinct;
    struct jade_verify_row *r = row->id_len > 0 ? place_of(v, row) : NULL;
    if (r) {
        r->used = true;
        r->number = row->number;
        jade_buf_clear(&r->id);
        jade_buf_clear(&r->values);
        jade_buf_append(&r->id, row->id, row->id_len);
        jade_buf_append_byte(&r->id, 0);
        jade_buf_append(&r->values, values, values ? row->dimension * sizeof *values : 0);
        rc = jade_buf_status(&r->id, err);
        rc = rc == JADE_OK ? jade_buf_status(&r->values, err) : rc;
    }
    jade_mutex_unlock(&v->mutex);
    return rc;
}

void jade_verify_drop(struct jade_verify *v, uint64_t number)
{
    jade_mutex_lock(&v->mutex);
    v->n_distinct -= v->n_distinct > 0; /* a lower bound stays one */
    for (unsigned i = 0; i < JADE_VERIFY_ROWS_MAX; i++) {
        v->row[i].used = v->row[i].used && v->row[i].number != number;
    }
    jade_mutex_unlock(&v->mutex);
}

/* ---- asking ---- */

struct asking {
    struct jade_cli *cli;
    const char *db, *metric;
    struct jade_buf path, body, came; /* came: values as the server has them */
};

#define jade_differs(err, r, ...) \
    jade_fail_field((err), JADE_E_CORRUPT, (const char *)(r)->id.data, __VA_ARGS__)

static jade_code check_count(const struct jade_verify *v, struct asking *a, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_reply reply;
    struct jade_json count;
    JADE_TRY(jade_cli_database_path(&a->path, a->db, "/status", err));
    JADE_TRY(jade_cli_call(a->cli, "GET", (const char *)a->path.data, NULL, 0, &reply, err));
    if (!jade_json_get(reply.data, "vectorCount", &count) ||
        jade_json_type(count) != JADE_JSON_INT) {
        rc = jade_fail(err, JADE_E_NETWORK, "the server does not tell how many vectors %s holds",
                       a->db);
    } else if ((uint64_t)jade_json_int(count) < v->n_distinct) {
        rc = jade_fail_field(err, JADE_E_CORRUPT, "vectorCount",
                             "%" PRId64 " vectors are in %s, %" PRIu64 " were stored",
                             jade_json_int(count), a->db, v->n_distinct);
    }
out:
    return rc;
}

static jade_code compare(const struct jade_verify_row *r, const float *came, size_t n,
                         struct jade_err *err)
{
    const float *sent = (const float *)(const void *)r->values.data;
    if (r->values.len > 0 && r->values.len != n * sizeof *sent) {
        return jade_differs(err, r, "row %" PRIu64 " came back with %zu numbers", r->number, n);
    }
    for (size_t i = 0; r->values.len > 0 && i < n; i++) {
        double apart = fabs((double)sent[i] - (double)came[i]);
        if (!(apart <= VALUE_SLACK * fmax(1, fabs((double)sent[i])))) {
            return jade_differs(err, r, "row %" PRIu64 ": values[%zu] is %.9g, %.9g was sent",
                                r->number, i, (double)came[i], (double)sent[i]);
        }
    }
    return JADE_OK;
}

static jade_code read_back(const struct jade_verify_row *r, struct asking *a, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_reply reply;
    struct jade_json values;
    JADE_TRY(jade_cli_database_path(&a->path, a->db, "/vectors/", err));
    a->path.len--; /* its NUL */
    jade_url_segment(&a->path, (const char *)r->id.data);
    jade_buf_append_byte(&a->path, 0);
    JADE_TRY(jade_buf_status(&a->path, err));
    rc = jade_cli_call(a->cli, "GET", (const char *)a->path.data, NULL, 0, &reply, err);
    if (rc == JADE_E_NOT_FOUND) {
        rc = jade_differs(err, r, "row %" PRIu64 " was stored and is not there", r->number);
    }
    JADE_TRY(rc);
    if (!jade_json_get(reply.data, "values", &values) ||
        jade_json_type(values) != JADE_JSON_ARRAY || jade_json_count(values) > JADE_DIM_MAX) {
        rc = jade_differs(err, r, "row %" PRIu64 " came back without values", r->number);
        goto out;
    }
    size_t n = jade_json_count(values);
    jade_buf_clear(&a->came);
    float *came = jade_buf_extend(&a->came, n * sizeof *came);
    JADE_TRY(jade_buf_status(&a->came, err));
    JADE_TRY(jade_json_f32(values, came, n, "values", err));
    JADE_TRY(compare(r, came, n, err));
out:
    return rc;
}

/* The score that a vector has with itself. */
static double own_score(const char *metric, const float *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)v[i] * (double)v[i];
    }
    if (strcmp(metric, "dot") == 0) {
        return sum;
    }
    return sum == 0 && strcmp(metric, "cosine") == 0 ? 0 : 1;
}

static jade_code search(const struct jade_verify_row *r, struct asking *a, bool exact,
                        bool *found_out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    const float *v = (const float *)(const void *)a->came.data;
    size_t dimension = a->came.len / sizeof *v, n = 0;
    double own = own_score(a->metric, v, dimension), worst = INFINITY;
    struct jade_json_out o;
    struct jade_reply reply;
    struct jade_json results, hit, member;
    struct jade_json_iter it = {0};
    *found_out = false;
    jade_buf_clear(&a->body);
    jade_json_out_init(&o, &a->body);
    jade_out_object(&o);
    jade_out_key(&o, "queryVector");
    jade_out_f32_array(&o, v, dimension);
    jade_out_key_u64(&o, "topK", JADE_VERIFY_TOP_K);
    jade_out_key_bool(&o, "includeMetadata", false);
    jade_out_key_bool(&o, "exact", exact);
    jade_out_object_end(&o);
    JADE_TRY(jade_buf_status(&a->body, err));
    JADE_TRY(jade_cli_database_path(&a->path, a->db, "/search", err));
    JADE_TRY(jade_cli_call(a->cli, "POST", (const char *)a->path.data, (const char *)a->body.data,
                           a->body.len, &reply, err));
    if (!jade_json_get(reply.data, "results", &results) ||
        jade_json_type(results) != JADE_JSON_ARRAY) {
        rc = jade_fail(err, JADE_E_NETWORK, "the answer holds no list of results");
        goto out;
    }
    for (; jade_json_array_next(results, &it, &hit); n++) {
        if (jade_json_get(hit, "id", &member) && jade_json_type(member) == JADE_JSON_STRING) {
            struct jade_str id = jade_json_string(member);
            *found_out |= id.n + 1 == r->id.len && memcmp(id.p, r->id.data, id.n) == 0;
        }
        bool has = jade_json_get(hit, "score", &member) && jade_json_is_number(member);
        worst = fmin(worst, has ? jade_json_double(member) : -INFINITY);
    }
    *found_out |= n == JADE_VERIFY_TOP_K && worst >= own - SCORE_SLACK * fmax(1, fabs(own));
out:
    return rc;
}

static jade_code check_row(const struct jade_verify_row *r, struct asking *a, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    bool found = false;
    JADE_TRY(read_back(r, a, err));
    const float *v = (const float *)(const void *)a->came.data;
    if (own_score(a->metric, v, a->came.len / sizeof *v) == 0) {
        goto out; /* nothing is near the zero vector by cosine or dot product */
    }
    JADE_TRY(search(r, a, false, &found, err));
    if (!found) {
        JADE_TRY(search(r, a, true, &found, err));
    }
    if (!found) {
        rc = jade_differs(err, r, "row %" PRIu64 " was stored and no search for it finds it",
                          r->number);
    }
out:
    return rc;
}

jade_code jade_verify_run(struct jade_verify *v, struct jade_cli *cli, const char *db,
                          const char *metric, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct asking a = {.cli = cli, .db = db, .metric = metric};
    jade_buf_init(&a.path, JADE_TAG_OTHER);
    jade_buf_init(&a.body, JADE_TAG_OTHER);
    jade_buf_init(&a.came, JADE_TAG_OTHER);
    v->n_checked = 0;
    JADE_TRY(check_count(v, &a, err));
    for (unsigned i = 0; i < JADE_VERIFY_ROWS_MAX; i++) {
        if (v->row[i].used) {
            JADE_TRY(check_row(&v->row[i], &a, err));
            v->n_checked++;
        }
    }
out:
    jade_buf_release(&a.path);
    jade_buf_release(&a.body);
    jade_buf_release(&a.came);
    return rc;
}
