/*
 * Jobs: long actions that run behind, one at a time, in the order of coming. One list, oldest first, holds waiting, running and the last
 * JADE_JOBS_KEPT_MAX finished ones. A job holds a reference to its database until it has finished.
 */
#include <math.h>
#include <string.h>

#include "node/node_private.h"

static const char *const KINDS[] = {
    [JADE_JOB_REBUILD] = "rebuild",
    [JADE_JOB_CHECKPOINT] = "checkpoint",
};
static const char *const STATES[] = {
    [JADE_JOB_QUEUED] = "queued",       [JADE_JOB_RUNNING] = "running",
    [JADE_JOB_SUCCEEDED] = "succeeded", [JADE_JOB_FAILED] = "failed",
    [JADE_JOB_CANCELLED] = "cancelled",
};

const char *jade_job_kind_name(enum jade_job_kind k)
{
    return (unsigned)k < sizeof KINDS / sizeof *KINDS ? KINDS[k] : "unknown";
}

const char *jade_job_state_name(enum jade_job_state s)
{
    return (unsigned)s < sizeof STATES / sizeof *STATES ? STATES[s] : "unknown";
}

static bool is_finished(const struct jadei_job *job)
{
    return job->pub.state != JADE_JOB_QUEUED && job->pub.state != JADE_JOB_RUNNING;
}

/* ---- one job ---- */

jade_code jadei_node_job_new(struct jade_database *db, enum jade_job_kind kind,
                             struct jadei_job **out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_node *n = db->node;
    struct jadei_job *job = jade_calloc(JADE_TAG_OTHER, 1, sizeof *job);
    *out = NULL;
    if (!job) {
        return jade_fail(err, JADE_E_NOMEM, "out of memory for a job");
    }
    memcpy(job->pub.id, "job_", 4);
    JADE_TRY(jade_node_unique(n, job->pub.id + 4, err));
    job->pub.kind = kind;
    job->pub.state = JADE_JOB_QUEUED;
    job->pub.eta_s = -1;
    job->pub.created_us = jade_os_wall_us(n->os);
    memcpy(job->pub.database_id, db->id, sizeof job->pub.database_id);
    memcpy(job->pub.database_name, db->name, sizeof job->pub.database_name);
    job->db = jadei_database_ref(db);
    *out = job;
    return JADE_OK;
out:
    jade_free(job);
    return rc;
}

void jadei_node_job_free(struct jadei_job *job)
{
    if (job) {
        jade_database_unref(job->db);
        jade_free(job);
    }
}

/* ---- the list; its mutex is held ---- */

static struct jadei_job *find_job(struct jadei_jobs *jobs, const char *id, size_t len)
{
    struct jadei_job *job = jobs->oldest;
    while (job && (strlen(job->pub.id) != len || memcmp(job->pub.id, id, len) != 0)) {
        job = job->next;
    }
    return job;
}

/** One that waits or runs, of this kind, on this database. */
static struct jadei_job *find_active(struct jadei_jobs *jobs, const struct jade_database *db,
                                     enum jade_job_kind kind, enum jade_job_state state)
{
    struct jadei_job *job = jobs->oldest;
    while (job && (job->db != db || job->pub.kind != kind || job->pub.state != state)) {
        job = job->next;
    }
    return job;
}

static void forget_oldest_finished(struct jadei_jobs *jobs)
{
    struct jadei_job **link = &jobs->oldest, *before = NULL;
    while (!is_finished(*link)) {
        before = *link;
        link = &(*link)->next;
    }
    struct jadei_job *job = *link;
    *link = job->next;
    if (jobs->newest == job) {
        jobs->newest = before;
    }
    jobs->n_finished--;
    jade_free(job); /* its database was given back when it finished */
}

/** Returns the database that the caller gives back without the mutex. *said_out: the job as it ended; it may be forgotten at once. */
static struct jade_database *finish(struct jadei_jobs *jobs, struct jadei_job *job, jade_code rc,
                                    const struct jade_err *e, struct jade_job *said_out)
{
    struct jade_database *db = job->db;
    bool was_running = job->pub.state == JADE_JOB_RUNNING;
    jobs->n_running -= was_running;
    jobs->n_queued -= !was_running;
    job->db = NULL;
    job->pub.eta_s = -1;
    job->pub.finished_us = jade_os_wall_us(jobs->node->os);
    if (rc == JADE_OK) {
        job->pub.state = JADE_JOB_SUCCEEDED;
        job->pub.progress = 1;
    } else if (rc == JADE_E_CANCELLED) {
        job->pub.state = JADE_JOB_CANCELLED;
    } else {
        job->pub.state = JADE_JOB_FAILED;
        job->pub.error = *e;
    }
    *said_out = job->pub;
    if (++jobs->n_finished > JADE_JOBS_KEPT_MAX) {
        forget_oldest_finished(jobs);
    }
    jade_cond_broadcast(&jobs->cond);
    return db;
}

static void append(struct jadei_jobs *jobs, struct jadei_job *job)
{
    if (jobs->newest) {
        jobs->newest->next = job;
    } else {
        jobs->oldest = job;
    }
    jobs->newest = job;
    jobs->n_queued++;
    jade_cond_broadcast(&jobs->cond);
}

/* ---- queueing ---- */

jade_code jadei_node_job_queue(struct jadei_job *job, bool replace, struct jade_job *out,
                               struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jadei_jobs *jobs = &job->db->node->jobs;
    jade_mutex_lock(&jobs->mutex);
    struct jadei_job *queued = find_active(jobs, job->db, job->pub.kind, JADE_JOB_QUEUED);
    struct jadei_job *running = find_active(jobs, job->db, job->pub.kind, JADE_JOB_RUNNING);
    if (jobs->stopping) {
        rc = jadei_stopping(err);
    } else if (replace && queued) {
        *out = queued->pub;
        jade_mutex_unlock(&jobs->mutex);
        jadei_node_job_free(job);
        return JADE_OK;
    } else if (!replace && (queued || running)) {
        rc = jade_fail(err, JADE_E_CONFLICT, "the job %s does that already",
                       (queued ? queued : running)->pub.id);
    } else if (!replace && jobs->n_queued >= JADE_JOBS_QUEUED_MAX) {
        rc = jade_fail(err, JADE_E_BUSY, "%u jobs are waiting", jobs->n_queued);
    } else {
        if (running) {
            running->pub.cancel_requested = true;
        }
        append(jobs, job);
        *out = job->pub;
    }
    jade_mutex_unlock(&jobs->mutex);
    return rc;
}

jade_code jade_database_start_job(struct jade_database *db, enum jade_job_kind kind,
                                  struct jade_job *out, struct jade_err *err)
{
    jade_code rc = jadei_node_enter(db->node, err);
    if (rc != JADE_OK) {
        return rc;
    }
    struct jadei_job *job = NULL;
    jade_mutex_lock(&db->mutex);
    bool gone = db->gone;
    jade_mutex_unlock(&db->mutex);
    if (gone) {
        rc = jade_fail_field(err, JADE_E_NOT_FOUND, "databaseId", "the database \"%s\" was deleted",
                             db->name);
        goto out;
    }
    JADE_TRY(jadei_node_job_new(db, kind, &job, err));
    rc = jadei_node_job_queue(job, false, out, err);
    if (rc != JADE_OK) {
        jadei_node_job_free(job);
    }
out:
    jadei_node_leave(db->node);
    return rc;
}

/* ---- running ---- */

/** jade_progress_fn: keeps the numbers, and says whether to go on. */
static bool on_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct jadei_job *job = ctx;
    struct jadei_jobs *jobs = &job->db->node->jobs;
    uint64_t spent = jade_os_mono_us(jobs->node->os) - job->started_mono_us;
    jade_mutex_lock(&jobs->mutex);
    double p = total > 0 ? (double)done / (double)total : 0;
    p = p < 0.999 ? p : 0.999; /* 1 is said when it has succeeded */
    if (p > job->pub.progress) {
        job->pub.progress = p;
        job->pub.eta_s = (int64_t)ceil((double)spent / 1e6 * (1 - p) / p);
    }
    bool go_on = !job->pub.cancel_requested;
    jade_mutex_unlock(&jobs->mutex);
    return go_on;
}

static jade_code run_job(struct jadei_job *job, struct jade_err *err)
{
    struct jade_shard *shard;
    struct jade_database *db = job->db;
    jade_code rc = jadei_use_begin(db, &shard, err);
    if (rc != JADE_OK) {
        return rc;
    }
    if (job->pub.kind == JADE_JOB_CHECKPOINT) {
        return jadei_use_end(db, jade_shard_checkpoint(shard, err));
    }
    jade_mutex_lock(&db->mutex);
    struct jade_index_params index = db->row.index;
    jade_mutex_unlock(&db->mutex);
    if (!on_progress(job, 0, 0)) { /* cancelled while the shard was opened */
        return jadei_use_end(db, jade_fail(err, JADE_E_CANCELLED, "cancelled"));
    }
    rc = jade_shard_rebuild(shard, &index, on_progress, job, err);
    (void)jadei_use_end(db, rc == JADE_E_CANCELLED ? JADE_OK : rc);
    if (rc == JADE_OK) {
        jadei_rebuild_done(db, &index);
    }
    return rc;
}

/** Oldest job that waits, now running; NULL when none does. The mutex is held. */
static struct jadei_job *take(struct jadei_jobs *jobs)
{
    struct jadei_job *job = jobs->oldest;
    while (job && job->pub.state != JADE_JOB_QUEUED) {
        job = job->next;
    }
    if (job) {
        job->pub.state = JADE_JOB_RUNNING;
        job->pub.started_us = jade_os_wall_us(jobs->node->os);
        job->started_mono_us = jade_os_mono_us(jobs->node->os);
        jobs->n_queued--;
        jobs->n_running++;
    }
    return job;
}

static void run_taken(struct jadei_jobs *jobs, struct jadei_job *job)
{
    struct jade_err e = {0};
    struct jade_job said;
    jade_code rc = run_job(job, &e);
    jade_mutex_lock(&jobs->mutex);
    if (rc != JADE_OK && (job->pub.cancel_requested || jobs->stopping)) {
        rc = JADE_E_CANCELLED; /* a deleted database, a stopping node: not its failure */
    }
    struct jade_database *db = finish(jobs, job, rc, &e, &said);
    jade_mutex_unlock(&jobs->mutex);
    jade_log(JADE_LOG_INFO, JADEI_ROOM, "job finished", JADE_LOG_STR("id", said.id),
             JADE_LOG_STR("kind", jade_job_kind_name(said.kind)),
             JADE_LOG_STR("database", said.database_id),
             JADE_LOG_STR("state", jade_job_state_name(said.state)),
             JADE_LOG_STR("error", said.error.message));
    jade_database_unref(db);
}

bool jadei_jobs_run_one(struct jade_node *n)
{
    jade_mutex_lock(&n->jobs.mutex);
    struct jadei_job *job = n->jobs.stopping ? NULL : take(&n->jobs);
    jade_mutex_unlock(&n->jobs.mutex);
    if (job) {
        run_taken(&n->jobs, job);
    }
    return job != NULL;
}

static void *work(void *arg)
{
    struct jadei_jobs *jobs = arg;
    jade_mutex_lock(&jobs->mutex);
    while (!jobs->stopping) {
        struct jadei_job *job = take(jobs);
        if (!job) {
            jade_cond_wait(&jobs->cond, &jobs->mutex);
            continue;
        }
        jade_mutex_unlock(&jobs->mutex);
        run_taken(jobs, job);
        jade_mutex_lock(&jobs->mutex);
    }
    jobs->ended = true;
    jade_cond_broadcast(&jobs->cond);
    jade_mutex_unlock(&jobs->mutex);
    return NULL;
}

/* ---- life ---- */

jade_code jadei_jobs_start(struct jade_node *n, bool manual, struct jade_err *err)
{
    if (manual) {
        return JADE_OK; /* ended, as it were */
    }
    n->jobs.ended = false;
    jade_code rc = jade_thread_start(&n->jobs.thread, "jade-jobs", 5, work, &n->jobs, err);
    if (rc != JADE_OK) {
        n->jobs.ended = true; /* nobody else looks yet */
    }
    return rc;
}

/** Ends those that wait, asks the one that runs; db NULL = all. */
static void cancel_all(struct jadei_jobs *jobs, const struct jade_database *db)
{
    for (;;) {
        struct jade_database *given_back = NULL;
        struct jade_job said;
        jade_mutex_lock(&jobs->mutex);
        struct jadei_job *job = jobs->oldest;
        while (job) {
            if (is_finished(job) || (db && job->db != db)) {
                job = job->next;
            } else if (job->pub.state == JADE_JOB_RUNNING) {
                job->pub.cancel_requested = true;
                job = job->next;
            } else {
                job->pub.cancel_requested = true;
                given_back = finish(jobs, job, JADE_E_CANCELLED, NULL, &said);
                break;
            }
        }
        jade_mutex_unlock(&jobs->mutex);
        if (!given_back) {
            return;
        }
        jade_database_unref(given_back);
    }
}

void jadei_jobs_cancel_of(struct jade_database *db)
{
    cancel_all(&db->node->jobs, db);
}

void jadei_jobs_stop(struct jade_node *n)
{
    jade_mutex_lock(&n->jobs.mutex);
    n->jobs.stopping = true;
    jade_cond_broadcast(&n->jobs.cond);
    jade_mutex_unlock(&n->jobs.mutex);
    cancel_all(&n->jobs, NULL);
}

bool jadei_jobs_wait_ended(struct jade_node *n, uint64_t deadline_us)
{
    struct jadei_jobs *jobs = &n->jobs;
    jade_mutex_lock(&jobs->mutex);
    while (!jobs->ended) {
        uint64_t now = jade_os_mono_us(n->os);
        if (now >= deadline_us) {
            break;
        }
        (void)jade_cond_wait_for(&jobs->cond, &jobs->mutex, deadline_us - now);
    }
    bool ended = jobs->ended;
    jade_mutex_unlock(&jobs->mutex);
    if (ended) {
        jade_thread_join(&jobs->thread);
        jobs->thread.started = false;
    }
    return ended;
}

void jadei_jobs_release(struct jade_node *n)
{
    while (n->jobs.oldest) {
        struct jadei_job *job = n->jobs.oldest;
        n->jobs.oldest = job->next;
        jadei_node_job_free(job);
    }
    n->jobs.newest = NULL;
}

/* ---- asking ---- */

static jade_code unknown(const char *id, size_t len, struct jade_err *err)
{
    return jade_fail_field(err, JADE_E_NOT_FOUND, "operationId",
                           "no job has the id \"%.*s\", or it is forgotten",
                           (int)(len < 64 ? len : 64), id);
}

jade_code jade_node_job(struct jade_node *n, const char *id, size_t len, struct jade_job *out,
                        struct jade_err *err)
{
    jade_mutex_lock(&n->jobs.mutex);
    struct jadei_job *job = find_job(&n->jobs, id, len);
    if (job) {
        *out = job->pub;
    }
    jade_mutex_unlock(&n->jobs.mutex);
    return job ? JADE_OK : unknown(id, len, err);
}

jade_code jade_node_jobs(struct jade_node *n, struct jade_job **list_out, size_t *n_out,
                         struct jade_err *err)
{
    struct jadei_jobs *jobs = &n->jobs;
    jade_mutex_lock(&jobs->mutex);
    size_t count = jobs->n_queued + jobs->n_running + jobs->n_finished, at = count;
    struct jade_job *list = jade_alloc(JADE_TAG_REQUEST, count * sizeof *list);
    for (struct jadei_job *job = jobs->oldest; list && job; job = job->next) {
        list[--at] = job->pub;
    }
    jade_mutex_unlock(&jobs->mutex);
    *list_out = list;
    *n_out = list ? count : 0;
    return list ? JADE_OK : jade_fail(err, JADE_E_NOMEM, "out of memory for the list of jobs");
}

jade_code jade_node_job_cancel(struct jade_node *n, const char *id, size_t len,
                               struct jade_job *out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_database *given_back = NULL;
    jade_mutex_lock(&n->jobs.mutex);
    struct jadei_job *job = find_job(&n->jobs, id, len);
    if (!job) {
        rc = unknown(id, len, err);
    } else if (is_finished(job)) {
        rc = jade_fail(err, JADE_E_CONFLICT, "the job %s has %s already", job->pub.id,
                       jade_job_state_name(job->pub.state));
    } else {
        job->pub.cancel_requested = true;
        *out = job->pub;
        if (job->pub.state == JADE_JOB_QUEUED) {
            given_back = finish(&n->jobs, job, JADE_E_CANCELLED, NULL, out);
        }
    }
    jade_mutex_unlock(&n->jobs.mutex);
    jade_database_unref(given_back);
    return rc;
}

jade_code jade_node_job_wait(struct jade_node *n, const char *id, size_t len, uint64_t timeout_us,
                             struct jade_job *out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    uint64_t deadline = jade_os_mono_us(n->os) + timeout_us;
    jade_mutex_lock(&n->jobs.mutex);
    for (;;) {
        struct jadei_job *job = find_job(&n->jobs, id, len); /* anew: it may have been forgotten */
        if (!job) {
            rc = unknown(id, len, err);
            break;
        }
        *out = job->pub;
        uint64_t now = jade_os_mono_us(n->os);
        if (is_finished(job)) {
            break;
        }
        if (now >= deadline) {
            rc = jade_fail(err, JADE_E_TIMEOUT, "the job %s is still %s", out->id,
                           jade_job_state_name(out->state));
            break;
        }
        (void)jade_cond_wait_for(&n->jobs.cond, &n->jobs.mutex, deadline - now);
    }
    jade_mutex_unlock(&n->jobs.mutex);
    return rc;
}
