/*
 * /operations: what runs longer than a request.
 */
#include <string.h>

#include "api/api_private.h"
#include "base/alloc.h"

static void out_time(struct jade_json_out *o, const char *key, int64_t us)
{
    jade_out_key(o, key);
    if (us != 0) {
        jade_out_time(o, us);
    } else {
        jade_out_null(o);
    }
}

void jadei_out_job(struct jade_json_out *o, const struct jade_job *job)
{
    jade_out_object(o);
    jade_out_key_str(o, "operationId", job->id);
    jade_out_key_str(o, "kind", jade_job_kind_name(job->kind));
    jade_out_key_str(o, "state", jade_job_state_name(job->state));
    jade_out_key_bool(o, "cancelRequested", job->cancel_requested);
    jade_out_key_str(o, "databaseId", job->database_id);
    jade_out_key_str(o, "databaseName", job->database_name);
    jade_out_key_f64(o, "progress", job->progress);
    jade_out_key(o, "etaSeconds");
    if (job->eta_s >= 0) {
        jade_out_i64(o, job->eta_s);
    } else {
        jade_out_null(o);
    }
    jade_out_key(o, "error");
    if (job->state == JADE_JOB_FAILED) {
        jade_out_object(o);
        jade_out_key_str(o, "code", jade_code_name(job->error.code));
        jade_out_key_str(o, "message", job->error.message);
        jade_out_object_end(o);
    } else {
        jade_out_null(o);
    }
    out_time(o, "created_at", job->created_us);
    out_time(o, "started_at", job->started_us);
    out_time(o, "finished_at", job->finished_us);
    jade_out_object_end(o);
}

jade_code jadei_reply_job(struct jadei_call *c, const char *job_id, const char *message,
                          struct jade_err *err)
{
    struct jade_job job;
    jade_code rc = jade_node_job(c->api->node, job_id, strlen(job_id), &job, err);
    if (rc == JADE_OK) {
        jadei_reply_location(c, (const char *[]){"operations", job.id, NULL});
        jadei_reply_begin(c, 202, message);
        jadei_out_job(&c->out, &job);
    }
    return rc;
}

jade_code jadei_jobs_list(struct jadei_call *c, struct jade_err *err)
{
    struct jade_job *list = NULL;
    size_t n = 0;
    jade_code rc = jade_node_jobs(c->api->node, &list, &n, err);
    if (rc != JADE_OK) {
        return rc;
    }
    jadei_reply_begin(c, 200, "operations");
    jade_out_object(&c->out);
    jade_out_key(&c->out, "operations");
    jade_out_array(&c->out);
    for (size_t i = 0; i < n; i++) {
        jadei_out_job(&c->out, &list[i]);
    }
    jade_out_array_end(&c->out);
    jade_out_key_u64(&c->out, "count", n);
    jade_out_object_end(&c->out);
    jade_free(list);
    return JADE_OK;
}

jade_code jadei_jobs_get(struct jadei_call *c, struct jade_err *err)
{
    struct jade_job job;
    jade_code rc = jade_node_job(c->api->node, c->path[0].p, c->path[0].n, &job, err);
    if (rc == JADE_OK) {
        jadei_reply_begin(c, 200, "operation");
        jadei_out_job(&c->out, &job);
    }
    return rc;
}

jade_code jadei_jobs_cancel(struct jadei_call *c, struct jade_err *err)
{
    struct jade_job job;
    jade_code rc = jade_node_job_cancel(c->api->node, c->path[0].p, c->path[0].n, &job, err);
    if (rc == JADE_OK) {
        bool ended = job.state == JADE_JOB_CANCELLED;
        jadei_reply_begin(c, ended ? 200 : 202, ended ? "operation cancelled" : "cancelling");
        jadei_out_job(&c->out, &job);
    }
    return rc;
}
