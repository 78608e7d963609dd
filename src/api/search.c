/*
 * POST …/search and …/search/advanced (example 5 of the specification): one body, one answer; the longer path is kept for clients that
 * separate the two.
 */
#include <stdio.h>
#include <string.h>

#include "api/api_private.h"

enum field {
    F_DATABASE,
    F_VECTOR,
    F_TEXT,
    F_ID,
    F_TOP_K,
    F_THRESHOLD,
    F_FILTERS,
    F_FILTER,
    F_METADATA,
    F_VALUES,
    F_INDEX,
    F_MODEL,
    F_EF,
    F_EXACT,
    F_PARAMS,
    F_SELF,
    F_EXPLAIN,
    F_LATER, /* and those after it */
    F_END = F_LATER + 18
};
#define LATER(name) JADEI_FIELD_YET(name, "this build does not have it")
static const struct jadei_field fields[F_END] = {
    [F_DATABASE] = JADEI_FIELD("databaseId"),
    [F_VECTOR] = JADEI_FIELD("queryVector"),
    [F_TEXT] = JADEI_FIELD("text"),
    [F_ID] = JADEI_FIELD("id"),
    [F_TOP_K] = JADEI_FIELD("topK"),
    [F_THRESHOLD] = JADEI_FIELD("threshold"),
    [F_FILTERS] = JADEI_FIELD("filters"),
    [F_FILTER] = JADEI_FIELD("filter"),
    [F_METADATA] = JADEI_FIELD("includeMetadata"),
    [F_VALUES] = JADEI_FIELD("includeValues"),
    [F_INDEX] = JADEI_FIELD("index"),
    [F_MODEL] = JADEI_FIELD("embeddingModel"),
    [F_EF] = JADEI_FIELD("efSearch"),
    [F_EXACT] = JADEI_FIELD("exact"),
    [F_PARAMS] = JADEI_FIELD("params"),
    [F_SELF] = JADEI_FIELD("includeSelf"),
    [F_EXPLAIN] = JADEI_FIELD("explain"),
    [F_LATER] = LATER("query"),
    LATER("using"),
    LATER("prefetch"),
    LATER("fusion"),
    LATER("offset"),
    LATER("limit"),
    LATER("cursor"),
    LATER("maxDistance"),
    LATER("groupBy"),
    LATER("facets"),
    LATER("orderBy"),
    LATER("mmr"),
    LATER("rerank"),
    LATER("boost"),
    LATER("include"),
    LATER("consistency"),
    LATER("timeoutMs"),
    LATER("allowPartial"),
};

struct plan { /* what came, beside struct jade_find */
    struct jade_find find;
    struct jade_filter *filter;
    bool explain;
};

/* ---- in ---- */

static jade_code read_vector(struct jadei_call *c, struct jade_json v, struct jade_find *q,
                             struct jade_err *err)
{
    uint32_t dim = jade_database_dimension(c->db);
    float *values = jade_arena_alloc(&c->arena, dim * sizeof *values);
    if (!values) {
        return jade_fail(err, JADE_E_NOMEM, "out of memory for a query");
    }
    q->by = JADE_FIND_VECTOR;
    q->vector = values;
    q->dim = dim;
    return jade_json_f32(v, values, dim, "queryVector", err);
}

static jade_code read_what(struct jadei_call *c, const struct jadei_value *at, struct jade_find *q,
                           struct jade_err *err)
{
    jade_code rc = JADE_OK;
    int n = at[F_VECTOR].given + at[F_TEXT].given + at[F_ID].given;
    if (n != 1) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "queryVector",
                               "%s, expected one of queryVector, text and id",
                               n == 0 ? "missing" : "given beside another query");
    }
    if (at[F_VECTOR].given) {
        JADE_TRY(read_vector(c, at[F_VECTOR].v, q, err));
    } else if (at[F_TEXT].given) {
        q->by = JADE_FIND_TEXT;
        JADE_TRY(jadei_read_string(at[F_TEXT].v, "text", &q->text, err));
    } else {
        q->by = JADE_FIND_ID;
        JADE_TRY(jadei_read_id(at[F_ID].v, "id", &c->arena, &q->id, &q->id_len, err));
    }
    if (at[F_SELF].given) {
        JADE_TRY(jadei_read_bool(at[F_SELF].v, "includeSelf", &q->include_self, err));
        if (q->by != JADE_FIND_ID) {
            rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "includeSelf",
                                 "has a meaning with id only");
        }
    }
out:
    return rc;
}

static jade_code read_effort(const struct jadei_value *at, struct jade_find *q,
                             struct jade_err *err)
{
    static const struct jadei_field members[] = {JADEI_FIELD("efSearch"), JADEI_FIELD("exact"),
                                                 LATER("nprobe"),         LATER("targetRecall"),
                                                 LATER("rescore"),        LATER("oversampling")};
    jade_code rc = JADE_OK;
    struct jadei_value in[JADEI_FIELDS_COUNT(members)] = {{.given = false}};
    struct jadei_value ef = at[F_EF], exact = at[F_EXACT];
    const char *prefix = "";
    if (at[F_PARAMS].given) {
        rc = jadei_read_fields(at[F_PARAMS].v, members, JADEI_FIELDS_COUNT(members), in, err);
        if (rc == JADE_OK && ((ef.given && in[0].given) || (exact.given && in[1].given))) {
            rc = jade_fail_field(err, JADE_E_INVALID_ARGUMENT,
                                 ef.given && in[0].given ? "efSearch" : "exact",
                                 "given here and outside of params");
        }
        if (rc != JADE_OK) {
            jade_err_prefix_field(err, "params");
            return rc;
        }
        prefix = "params";
    }
    if (ef.given || in[0].given) {
        rc = jadei_read_u32(ef.given ? ef.v : in[0].v, "efSearch", 1, JADE_EF_MAX, &q->ef, err);
        prefix = ef.given ? "" : prefix;
    }
    if (rc == JADE_OK && (exact.given || in[1].given)) {
        rc = jadei_read_bool(exact.given ? exact.v : in[1].v, "exact", &q->exact, err);
        prefix = exact.given ? "" : "params";
    }
    if (rc != JADE_OK && prefix[0] != '\0') {
        jade_err_prefix_field(err, prefix);
    }
    return rc;
}

/* "index" names the kind of the one index, or its id. */
static jade_code check_index(struct jadei_call *c, struct jade_json v, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_database_info info;
    struct jade_str word;
    char id[JADEI_INDEX_ID_SIZE];
    JADE_TRY(jadei_read_string(v, "index", &word, err));
    JADE_TRY(jade_database_info(c->db, &c->arena, &info, err));
    jadei_index_id(info.id, id);
    if (strcmp(word.p, id) == 0) {
        goto out;
    }
    struct jade_index_params params = info.index;
    JADE_TRY(jadei_read_index_type(v, "index", &params, err));
    if (params.kind != info.index.kind) {
        rc = jade_fail_field(err, JADE_E_UNPROCESSABLE, "index",
                             "\"%.64s\", but the database's index is %s", word.p,
                             jadei_index_type_name(info.index.kind));
    }
out:
    return rc;
}

/* A model named with a vector is compared with that of the database: both must come from one model. */
static jade_code read_model(struct jadei_call *c, struct jade_json v, struct jade_find *q,
                            struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_model model;
    struct jade_database_info info;
    JADE_TRY(jadei_read_model(c, v, "embeddingModel", &model, err));
    JADE_TRY(jade_database_info(c->db, &c->arena, &info, err));
    bool other = info.model_name[0] != '\0' && (strcmp(model.name, info.model_name) != 0 ||
                                                (model.version && info.model_version[0] != '\0' &&
                                                 strcmp(model.version, info.model_version) != 0));
    const struct jade_embed_model *m;
    JADE_TRY(
        jade_embed_get(jade_node_embed_registry(c->api->node), model.name, model.version, &m, err));
    if (other) {
        rc = jade_fail_field(err, JADE_E_UNPROCESSABLE, "embeddingModel",
                             "%s %s, but the database holds vectors of %s %s", model.name,
                             model.version ? model.version : "", info.model_name,
                             info.model_version);
        goto out;
    }
    if (jade_embed_model_dimension(m) != info.dimension) {
        rc = jade_fail_field(err, JADE_E_UNPROCESSABLE, "embeddingModel",
                             "%s makes vectors of %u, but the database has %u", model.name,
                             jade_embed_model_dimension(m), info.dimension);
        goto out;
    }
    q->model_name = model.name;
    q->model_version = model.version;
out:
    return rc;
}

static jade_code read_filter(const struct jadei_value *at, struct plan *p, struct jade_err *err)
{
    if (at[F_FILTER].given && at[F_FILTERS].given) {
        return jade_fail_field(err, JADE_E_INVALID_ARGUMENT, "filter",
                               "given beside filters, expected one of them");
    }
    enum field f = at[F_FILTER].given ? F_FILTER : F_FILTERS;
    if (!at[f].given) {
        return JADE_OK;
    }
    jade_code rc = jade_filter_parse(at[f].v, fields[f].name, &p->filter, err);
    p->find.filter = p->filter;
    return rc;
}

static jade_code read_answer(const struct jadei_value *at, struct plan *p, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    bool metadata = true, values = false;
    struct jade_find *q = &p->find;
    if (at[F_TOP_K].given) {
        JADE_TRY(jadei_read_u32(at[F_TOP_K].v, "topK", 1, JADE_TOPK_MAX, &q->k, err));
    }
    if (at[F_THRESHOLD].given) {
        JADE_TRY(jadei_read_f64(at[F_THRESHOLD].v, "threshold", &q->threshold, err));
        q->has_threshold = true;
    }
    if (at[F_METADATA].given) {
        JADE_TRY(jadei_read_bool(at[F_METADATA].v, "includeMetadata", &metadata, err));
    }
    if (at[F_VALUES].given) {
        JADE_TRY(jadei_read_bool(at[F_VALUES].v, "includeValues", &values, err));
    }
    if (at[F_EXPLAIN].given) {
        JADE_TRY(jadei_read_bool(at[F_EXPLAIN].v, "explain", &p->explain, err));
    }
    q->with =
        (values ? (unsigned)JADE_WITH_VALUES : 0u) | (metadata ? (unsigned)JADE_WITH_METADATA : 0u);
out:
    return rc;
}

static jade_code read_body(struct jadei_call *c, struct plan *p, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_value at[F_END];
    JADE_TRY(jadei_read_fields(c->body, fields, F_END, at, err));
    if (at[F_DATABASE].given) {
        JADE_TRY(jadei_check_database_id(c, at[F_DATABASE].v, err));
    }
    JADE_TRY(read_what(c, at, &p->find, err));
    JADE_TRY(read_answer(at, p, err));
    JADE_TRY(read_effort(at, &p->find, err));
    if (at[F_INDEX].given) {
        JADE_TRY(check_index(c, at[F_INDEX].v, err));
    }
    if (at[F_MODEL].given) {
        JADE_TRY(read_model(c, at[F_MODEL].v, &p->find, err));
    }
    JADE_TRY(read_filter(at, p, err));
out:
    return rc;
}

/* ---- out ---- */

static void out_hit(struct jade_json_out *o, const struct jade_hit *h, uint32_t dim)
{
    jade_out_object(o);
    jade_out_key(o, "id");
    jade_out_strn(o, h->record.id, h->record.id_len);
    jade_out_key_f64(o, "score", h->score);
    jade_out_key_f64(o, "distance", h->distance);
    jade_out_key_u64(o, "version", h->record.version);
    if (h->record.metadata) {
        jade_out_key(o, "metadata");
        jade_out_raw(o, h->record.metadata, h->record.metadata_len);
    }
    if (h->record.values) {
        jade_out_key(o, "values");
        jade_out_f32_array(o, h->record.values, dim);
    }
    jade_out_object_end(o);
}

static jade_code out_explain(struct jadei_call *c, const struct plan *p,
                             const struct jade_find_result *r, struct jade_err *err)
{
    struct jade_json_out *o = &c->out;
    jade_out_key(o, "explain");
    jade_out_object(o);
    jade_out_key_str(o, "plan", jade_plan_name(r->info.plan));
    jade_out_key_u64(o, "segments", r->info.n_segments);
    jade_out_key_u64(o, "distances", r->info.stats.distances);
    jade_out_key_u64(o, "expanded", r->info.stats.expanded);
    jade_out_key_u64(o, "filterMatches", r->info.filter_matches);
    jade_out_key_u64(o, "tailRows", r->info.tail_rows);
    jade_out_key_u64(o, "lsn", r->info.lsn.v);
    jade_out_key_f64(o, "embedMs", (double)r->embed_us / 1000.0);
    jade_out_key_f64(o, "searchMs", (double)r->search_us / 1000.0);
    if (p->filter) {
        size_t before = c->scratch.len;
        jade_filter_write(p->filter, &c->scratch);
        if (jade_buf_status(&c->scratch, err) != JADE_OK) {
            return JADE_E_NOMEM;
        }
        jade_out_key(o, "filter");
        jade_out_raw(o, c->scratch.data + before, c->scratch.len - before);
    }
    jade_out_object_end(o);
    return JADE_OK;
}

jade_code jadei_search_post(struct jadei_call *c, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct plan p = {.find = {.k = JADE_TOPK_DEFAULT}};
    struct jade_find_result r;
    JADE_TRY(jadei_call_database(c, err));
    JADE_TRY(read_body(c, &p, err));
    JADE_TRY(jade_database_search(c->db, &p.find, &c->arena, &r, err));
    jadei_reply_begin(c, 200, "search");
    jade_out_object(&c->out);
    jade_out_key(&c->out, "results");
    jade_out_array(&c->out);
    for (uint32_t i = 0; i < r.n; i++) {
        out_hit(&c->out, &r.hits[i], jade_database_dimension(c->db));
    }
    jade_out_array_end(&c->out);
    jade_out_key_u64(&c->out, "count", r.n);
    if (p.explain) {
        JADE_TRY(out_explain(c, &p, &r, err));
    }
    jade_out_object_end(&c->out);
out:
    jade_filter_free(p.filter);
    return rc;
}
