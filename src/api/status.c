/*
 * /health, /status, /databases/{databaseId}/status.
 */
#include "api/api_private.h"
#include "base/alloc.h"

/* Open to everybody: says only whether requests are taken. */
jade_code jadei_status_health(struct jadei_call *c, struct jade_err *err)
{
    struct jade_node_status s;
    jade_node_status(c->api->node, &s);
    if (s.stopping) {
        return jade_fail(err, JADE_E_UNAVAILABLE, "the server is stopping");
    }
    jadei_reply_begin(c, 200, "healthy");
    jade_out_object(&c->out);
    jade_out_key_str(&c->out, "state", "ok");
    jade_out_key_f64(&c->out, "uptimeSeconds", (double)s.uptime_us / 1e6);
    jade_out_object_end(&c->out);
    return JADE_OK;
}

static void out_memory(struct jade_json_out *o)
{
    jade_out_key(o, "memoryByPurpose");
    jade_out_object(o);
    for (unsigned i = 0; i < JADE_TAG_COUNT; i++) {
        jade_out_key_i64(o, jade_tag_name((enum jade_tag)i), jade_alloc_bytes((enum jade_tag)i));
    }
    jade_out_object_end(o);
}

static void out_server(struct jade_json_out *o, struct jade_http_server *server)
{
    struct jade_http_counters n;
    if (!server) {
        return;
    }
    jade_http_server_counters(server, &n);
    jade_out_key(o, "http");
    jade_out_object(o);
    jade_out_key_u64(o, "requests", n.requests);
    jade_out_key_u64(o, "refused", n.refused);
    jade_out_key_u64(o, "bytesIn", n.bytes_in);
    jade_out_key_u64(o, "bytesOut", n.bytes_out);
    jade_out_object_end(o);
}

static void out_node(struct jade_json_out *o, const struct jade_node_status *s)
{
    jade_out_key_f64(o, "uptimeSeconds", (double)s->uptime_us / 1e6);
    jade_out_key(o, "started_at");
    jade_out_time(o, s->started_us);
    jade_out_key_u64(o, "databases", s->n_databases);
    jade_out_key_u64(o, "databasesOpen", s->n_open);
    jade_out_key_u64(o, "databasesDamaged", s->n_damaged);
    jade_out_key_u64(o, "orphanFolders", s->n_orphans);
    jade_out_key_u64(o, "operationsQueued", s->n_jobs_queued);
    jade_out_key_u64(o, "operationsRunning", s->n_jobs_running);
    jade_out_key_u64(o, "vectors", s->n_vectors);
    jade_out_key_u64(o, "tailRows", s->n_tail_rows);
    jade_out_key_u64(o, "searches", s->n_searches);
    jade_out_key_u64(o, "writes", s->n_writes);
    jade_out_key_u64(o, "textsEmbedded", s->n_texts_embedded);
    jade_out_key_u64(o, "walBytes", s->wal_bytes);
    jade_out_key_u64(o, "diskBytes", s->disk_bytes);
    jade_out_key_u64(o, "diskFreeBytes", s->disk_free_bytes);
    jade_out_key_u64(o, "diskTotalBytes", s->disk_total_bytes);
    jade_out_key_i64(o, "memoryBytes", s->memory_bytes);
    jade_out_key_u64(o, "shardMemoryBytes", s->shard_memory_bytes);
}

jade_code jadei_status_node(struct jadei_call *c, struct jade_err *err)
{
    struct jade_json_out *o = &c->out;
    struct jade_node_status s;
    (void)err;
    jade_node_status(c->api->node, &s);
    jadei_reply_begin(c, 200, "status");
    jade_out_object(o);
    jade_out_key_str(o, "state", s.stopping ? "stopping" : s.n_damaged ? "degraded" : "ok");
    jade_out_key_str(o, "version", c->api->version);
    jade_out_key_str(o, "mode", "standalone");
    out_node(o, &s);
    out_memory(o);
    out_server(o, atomic_load(&c->api->server));
    jade_out_object_end(o);
    return JADE_OK;
}

static void out_shard(struct jade_json_out *o, const struct jade_shard_stats *s)
{
    jade_out_key_u64(o, "vectorCount", s->n_live);
    jade_out_key_u64(o, "deletedRows", s->n_dead);
    jade_out_key_u64(o, "segments", s->n_segments);
    jade_out_key_u64(o, "sealedSegments", s->n_sealed);
    jade_out_key_u64(o, "tailRows", s->tail_rows);
    jade_out_key_u64(o, "tailBytes", s->tail_bytes);
    jade_out_key_u64(o, "walBytes", s->wal_bytes);
    jade_out_key_u64(o, "diskBytes", s->disk_bytes);
    jade_out_key_u64(o, "memoryBytes", s->memory_bytes);
    jade_out_key_u64(o, "visibleLsn", s->visible.v);
    jade_out_key_u64(o, "durableLsn", s->durable.v);
    jade_out_key_u64(o, "checkpointLsn", s->checkpoint.v);
    jade_out_key_bool(o, "writesStopped", s->poisoned);
    jade_out_key_str(o, "writesStoppedReason", s->poisoned ? s->poison_reason : "");
}

static void out_calls(struct jade_json_out *o, const struct jade_database_stats *s)
{
    jade_out_key_u64(o, "searches", s->n_searches);
    jade_out_key_u64(o, "writes", s->n_writes);
    jade_out_key_u64(o, "rowsWritten", s->n_rows_written);
    jade_out_key_u64(o, "rowsDeleted", s->n_rows_deleted);
    jade_out_key_u64(o, "gets", s->n_gets);
    jade_out_key_u64(o, "textsEmbedded", s->n_texts);
    jade_out_key_u64(o, "errors", s->n_errors);
    jade_out_key_u64(o, "running", s->n_running);
}

/* Opens an idle database: who asks for its status wants its numbers. A damaged one answers with its damage. */
jade_code jadei_status_database(struct jadei_call *c, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct jade_json_out *o = &c->out;
    struct jade_database_info info;
    struct jade_database_stats stats;
    struct jade_err closed = {.code = JADE_OK};
    JADE_TRY(jadei_call_database(c, err));
    jade_code opened = jade_database_stats(c->db, true, &stats, &closed);
    JADE_TRY(jade_database_info(c->db, &c->arena, &info, err));
    if (opened != JADE_OK && info.state != JADE_DATABASE_DAMAGED) {
        *err = closed;
        rc = opened;
        goto out;
    }
    if (opened != JADE_OK) {
        JADE_TRY(jade_database_stats(c->db, false, &stats, err));
    }
    jadei_reply_begin(c, 200, "database status");
    jade_out_object(o);
    jade_out_key_str(o, "databaseId", info.id);
    jade_out_key_str(o, "name", info.name);
    jade_out_key_str(o, "status", jade_database_state_name(info.state));
    jade_out_key_bool(o, "rebuildPending", info.rebuild_pending);
    if (opened != JADE_OK) {
        jade_out_key(o, "error");
        jade_out_object(o);
        jade_out_key_str(o, "code", jade_code_name(info.error.code));
        jade_out_key_str(o, "message", info.error.message);
        jade_out_object_end(o);
    }
    if (stats.known) {
        out_shard(o, &stats.shard);
    }
    out_calls(o, &stats);
    jade_out_object_end(o);
out:
    return rc;
}
