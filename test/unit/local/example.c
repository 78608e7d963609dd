/*
 * The example of src/local/README.md: a database in a folder, three records, one filtered search. C99 and C++; the header needs no more.
 */
#include <stdio.h>
#include <string.h>

#include "jade/jade.h"

static int complain(const char *what, const jade_error *err)
{
    fprintf(stderr, "%s: %s: %s\n", what, err->field, err->message);
    return 1;
}

static int search(jade_db *db)
{
    static const float near_cats[3] = {1, 0.1f, 0};
    jade_query query;
    jade_results *found;
    jade_error err;
    size_t i;
    memset(&query, 0, sizeof query);
    query.vector = near_cats;
    query.top_k = 2;
    query.filter = "{\"lang\":\"en\"}";
    query.include = JADE_INCLUDE_METADATA;
    if (jade_db_search(db, &query, &found, &err) != JADE_OK) {
        return complain("search", &err);
    }
    for (i = 0; i < jade_results_count(found); i++) {
        const jade_result *hit = jade_results_at(found, i);
        printf("%s %.3f %s\n", hit->id, hit->score, hit->metadata);
    }
    jade_results_free(found);
    return 0;
}

int main(int argc, char **argv)
{
    static const float cats[3] = {1, 0, 0}, dogs[3] = {0, 1, 0}, katzen[3] = {0.9f, 0.1f, 0};
    jade_record records[3] = {{"cats", cats, "{\"lang\":\"en\"}"},
                              {"dogs", dogs, "{\"lang\":\"en\"}"},
                              {"katzen", katzen, "{\"lang\":\"de\"}"}};
    jade_db_config config = jade_db_config_default(3);
    jade_env *env;
    jade_db *db = NULL;
    jade_error err;
    int failed;
    if (argc != 2) {
        fprintf(stderr, "usage: example FOLDER\n");
        return 2;
    }
    if (jade_env_open(argv[1], NULL, &env, &err) != JADE_OK) {
        return complain("open", &err);
    }
    if (jade_db_create(env, "animals", &config, &db, &err) != JADE_OK ||
        jade_db_upsert(db, records, 3, NULL, NULL, &err) != JADE_OK) {
        failed = complain("write", &err);
    } else {
        failed = search(db);
    }
    if (jade_db_close(db, &err) != JADE_OK) {
        failed = complain("close", &err);
    }
    (void)jade_env_close(env, NULL);
    return failed;
}
