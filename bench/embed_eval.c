/*
 * What jade-hash-384 is good for, in numbers, on the glosses of WordNet; beside it BM25 over exact words.
 *
 *   embed_eval [--wordnet DIR] [--queries N] [--seed N] [--uniform] [--with-words] [QUERY...]
 *
 * speed      glosses a second on one thread, training and embedding
 * related    a synset's gloss as query: where do the glosses of its hypernym and of its sisters (same hypernym) come among all, and how many
 *            of the nearest ten are in its category? Chance: half way down, and the share of the categories.
 * known item a third of a gloss's words, each with one letter changed, as query: where does that gloss come? (Spelling is what
 *            character n-grams are for; BM25 sees unknown words.) And the same with the words unchanged.
 * QUERY      the five nearest glosses to each text given, or to five built-in ones.
 *
 * Models go to a folder in memory (the simulated disk): nothing is written. Results repeat for a seed (default 1).
 * The settings of the model were chosen with seed 2026: use another to judge it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/random.h"
#include "embed/embed.h"
#include "os/sim.h"

enum { DIM = JADE_EMBED_HASH_384_DIM, NEAREST = 10, TEXT_MAX = 4096, WORDS_MAX = 256 };

#define CHECK(call)                                               \
    do {                                                          \
        if ((call) != JADE_OK) {                                  \
            fprintf(stderr, "embed_eval: %s\n", failure.message); \
            exit(1);                                              \
        }                                                         \
    } while (0)
static struct jade_err failure;

struct synset {
    uint32_t offset, hypernym; /* place in its file; hypernym's, 0 = none */
    uint32_t parent;           /* index of the hypernym, UINT32_MAX = none */
    uint8_t pos, category;
    struct jade_str text;
    char name[40]; /* its first word */
};

struct corpus {
    struct synset *s;
    size_t n;
    float *vectors;
};

static void *must(void *p)
{
    if (p == NULL) {
        fprintf(stderr, "embed_eval: out of memory\n");
        exit(1);
    }
    return p;
}

/* ---- reading WordNet: wndb(5WN) ---- */

static bool parse_line(char *line, uint8_t pos, bool with_words, struct synset *out)
{
    char *gloss = strstr(line, " | ");
    char *save = NULL;
    char words[TEXT_MAX] = "";
    if (line[0] == ' ' || gloss == NULL) {
        return false;
    }
    *gloss = '\0';
    gloss += 3;
    *out = (struct synset){.pos = pos, .parent = UINT32_MAX};
    out->offset = (uint32_t)strtoul(strtok_r(line, " ", &save), NULL, 10);
    out->category = (uint8_t)strtoul(strtok_r(NULL, " ", &save), NULL, 10);
    (void)strtok_r(NULL, " ", &save);
    unsigned long n = strtoul(strtok_r(NULL, " ", &save), NULL, 16);
    for (unsigned long i = 0; i < n; i++) {
        char *word = strtok_r(NULL, " ", &save);
        (void)strtok_r(NULL, " ", &save);
        for (char *c = word; *c != '\0'; c++) {
            *c = *c == '_' ? ' ' : *c;
        }
        if (i == 0) {
            snprintf(out->name, sizeof out->name, "%.39s", word);
        }
        size_t used = strlen(words);
        snprintf(words + used, sizeof words - used, "%s%s", i == 0 ? "" : ", ", word);
    }
    n = strtoul(strtok_r(NULL, " ", &save), NULL, 10);
    for (unsigned long i = 0; i < n; i++) {
        char *kind = strtok_r(NULL, " ", &save);
        uint32_t target = (uint32_t)strtoul(strtok_r(NULL, " ", &save), NULL, 10);
        (void)strtok_r(NULL, " ", &save);
        (void)strtok_r(NULL, " ", &save);
        if (out->hypernym == 0 && (strcmp(kind, "@") == 0 || strcmp(kind, "@i") == 0)) {
            out->hypernym = target;
        }
    }
    size_t length = strcspn(gloss, "\n");
    char *text = must(malloc(length + strlen(words) + 3));
    out->text.n =
        (size_t)snprintf(text, length + strlen(words) + 3, "%s%s%.*s", with_words ? words : "",
                         with_words ? ": " : "", (int)length, gloss);
    out->text.p = text;
    return true;
}

static void read_file(const char *folder, const char *name, uint8_t pos, bool with_words,
                      struct corpus *c)
{
    char path[1024];
    char line[65536];
    snprintf(path, sizeof path, "%s/data.%s", folder, name);
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        fprintf(
            stderr,
            "embed_eval: cannot read %s: install wordnet-base, or name its folder with --wordnet\n",
            path);
        exit(1);
    }
    while (fgets(line, sizeof line, f) != NULL) {
        if ((c->n & (c->n - 1)) == 0) {
            c->s = must(realloc(c->s, (c->n == 0 ? 1 : c->n * 2) * sizeof *c->s));
        }
        c->n += parse_line(line, pos, with_words, &c->s[c->n]);
    }
    fclose(f);
}

static void link_parents(struct corpus *c)
{
    struct jade_map places;
    jade_map_init(&places, JADE_TAG_TEST);
    for (size_t i = 0; i < c->n; i++) {
        uint32_t key[2] = {c->s[i].pos, c->s[i].offset};
        CHECK(jade_map_put(&places, key, sizeof key, i, NULL, &failure));
    }
    for (size_t i = 0; i < c->n; i++) {
        uint32_t key[2] = {c->s[i].pos, c->s[i].hypernym};
        uint64_t place = 0;
        if (c->s[i].hypernym != 0 && jade_map_get(&places, key, sizeof key, &place)) {
            c->s[i].parent = (uint32_t)place;
        }
    }
    jade_map_release(&places);
}

/* ---- BM25 over exact words (Robertson and Zaragoza 2009; k1 = 1.2, b = 0.75) ---- */

struct posting {
    uint32_t doc, next; /* next: index + 1 of the word's posting before */
    float count;
};
struct bm25 {
    struct jade_map words; /* -> index + 1 of its last posting */
    struct posting *postings;
    uint32_t *documents; /* by posting index: documents of the word up to it */
    size_t n;
    float *length, average;
};

static size_t next_word(struct jade_str t, size_t *at, char out[64])
{
    size_t n = 0;
    while (*at < t.n) {
        unsigned char c = (unsigned char)t.p[*at];
        bool letter = (c | 0x20) >= 'a' ? (c | 0x20) <= 'z' || c >= 0x80 : c >= '0' && c <= '9';
        if (!letter && n > 0) {
            break;
        }
        if (letter && n < 63) {
            out[n++] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
        }
        (*at)++;
    }
    out[n] = '\0';
    return n;
}

static void bm25_add(struct bm25 *b, uint32_t doc, struct jade_str text)
{
    char word[64];
    for (size_t at = 0, n; (n = next_word(text, &at, word)) > 0;) {
        uint64_t last = 0;
        (void)jade_map_get(&b->words, word, n, &last);
        b->length[doc]++;
        b->average++;
        if (last != 0 && b->postings[last - 1].doc == doc) {
            b->postings[last - 1].count++;
            continue;
        }
        if ((b->n & (b->n - 1)) == 0) {
            size_t cap = b->n == 0 ? 1 : b->n * 2;
            b->postings = must(realloc(b->postings, cap * sizeof *b->postings));
            b->documents = must(realloc(b->documents, cap * sizeof *b->documents));
        }
        b->postings[b->n] = (struct posting){.doc = doc, .next = (uint32_t)last, .count = 1};
        b->documents[b->n] = last == 0 ? 1 : b->documents[last - 1] + 1;
        b->n++;
        CHECK(jade_map_put(&b->words, word, n, b->n, NULL, &failure));
    }
}

static void bm25_build(struct bm25 *b, const struct corpus *c)
{
    *b = (struct bm25){0};
    jade_map_init(&b->words, JADE_TAG_TEST);
    b->length = must(calloc(c->n, sizeof *b->length));
    for (size_t i = 0; i < c->n; i++) {
        bm25_add(b, (uint32_t)i, c->s[i].text);
    }
    b->average /= (float)c->n;
}

static void bm25_score(const struct bm25 *b, size_t n, struct jade_str query, float *scores)
{
    char word[64];
    memset(scores, 0, n * sizeof *scores);
    for (size_t at = 0, len; (len = next_word(query, &at, word)) > 0;) {
        uint64_t last = 0;
        if (!jade_map_get(&b->words, word, len, &last)) {
            continue;
        }
        float df = (float)b->documents[last - 1];
        float idf = logf(1 + ((float)n - df + 0.5F) / (df + 0.5F));
        for (; last != 0; last = b->postings[last - 1].next) {
            const struct posting *p = &b->postings[last - 1];
            scores[p->doc] += idf * p->count * 2.2F /
                              (p->count + 1.2F * (0.25F + 0.75F * b->length[p->doc] / b->average));
        }
    }
}

static void cosine_score(const struct corpus *c, const struct jade_embed_model *m,
                         struct jade_str query, float *scores)
{
    float q[DIM];
    CHECK(jade_embed_texts(m, &query, 1, q, &failure));
    for (size_t i = 0; i < c->n; i++) {
        const float *v = c->vectors + i * DIM;
        float lane[8] = {0};
        for (unsigned d = 0; d < DIM; d += 8) {
            for (unsigned l = 0; l < 8; l++) {
                lane[l] += q[d + l] * v[d + l];
            }
        }
        scores[i] = lane[0] + lane[1] + lane[2] + lane[3] + lane[4] + lane[5] + lane[6] + lane[7];
    }
}

/* ---- measures ---- */

/* Place of `item` from 1, `self` left out; ties share the middle place. */
static double rank_of(const float *scores, size_t n, size_t item, size_t self)
{
    size_t above = 0, equal = 0;
    for (size_t i = 0; i < n; i++) {
        if (i != self && i != item) {
            above += scores[i] > scores[item];
            equal += scores[i] == scores[item];
        }
    }
    return (double)above + (double)equal / 2 + 1;
}

static void nearest(const float *scores, size_t n, size_t self, size_t *out, unsigned k)
{
    unsigned got = 0;
    for (size_t i = 0; i < n; i++) {
        if (i == self || (got == k && scores[i] <= scores[out[k - 1]])) {
            continue;
        }
        unsigned at = got < k ? got++ : k - 1;
        while (at > 0 && scores[out[at - 1]] < scores[i]) {
            out[at] = out[at - 1];
            at--;
        }
        out[at] = i;
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct tally {
    double *ranks;
    size_t n, top10;
    double reciprocal, sum;
};

static void tally_add(struct tally *t, double rank)
{
    t->ranks[t->n++] = rank;
    t->top10 += rank <= NEAREST;
    t->reciprocal += 1 / rank;
    t->sum += rank;
}

static void tally_print(struct tally *t, const char *what)
{
    qsort(t->ranks, t->n, sizeof *t->ranks, by_value);
    double n = (double)t->n;
    printf(
        "  %-34s mean rank %8.0f  median %7.0f  in first ten %5.1f %%  mean 1/rank %.3f  (%zu)\n",
        what, t->sum / n, t->ranks[t->n / 2], 100 * (double)t->top10 / n, t->reciprocal / n, t->n);
}

struct bench {
    struct corpus c;
    const struct jade_embed_model *m;
    struct bm25 b;
    size_t queries;
    uint64_t seed;
    float *scores;
};

static void score(struct bench *x, bool bm25, struct jade_str query)
{
    if (bm25) {
        bm25_score(&x->b, x->c.n, query, x->scores);
    } else {
        cosine_score(&x->c, x->m, query, x->scores);
    }
}

static void related(struct bench *x, bool bm25)
{
    struct tally parent = {.ranks = must(calloc(x->queries, sizeof(double)))};
    struct tally other = {.ranks = must(calloc(x->queries, sizeof(double)))};
    struct jade_random r;
    size_t with_sister = 0, same_category = 0;
    jade_random_init(&r, x->seed);
    while (parent.n < x->queries) {
        size_t i = jade_random_below(&r, x->c.n);
        size_t near[NEAREST];
        if (x->c.s[i].parent == UINT32_MAX) {
            continue;
        }
        score(x, bm25, x->c.s[i].text);
        tally_add(&parent, rank_of(x->scores, x->c.n, x->c.s[i].parent, i));
        size_t stranger = i;
        while (stranger == i) {
            stranger = jade_random_below(&r, x->c.n);
        }
        tally_add(&other, rank_of(x->scores, x->c.n, stranger, i));
        nearest(x->scores, x->c.n, i, near, NEAREST);
        bool sister = false;
        for (unsigned k = 0; k < NEAREST; k++) {
            sister |= x->c.s[near[k]].parent == x->c.s[i].parent;
            same_category += x->c.s[near[k]].category == x->c.s[i].category;
        }
        with_sister += sister;
    }
    tally_print(&parent, "hypernym");
    tally_print(&other, "a random synset");
    printf("  a sister in the nearest ten: %.1f %%; same category among the nearest ten: %.1f %%\n",
           100 * (double)with_sister / (double)x->queries,
           10 * (double)same_category / (double)x->queries);
    free(parent.ranks);
    free(other.ranks);
}

/* Every third word of the text, with one letter changed when typos is set. */
static struct jade_str thinned(struct jade_str text, bool typos, struct jade_random *r,
                               char out[TEXT_MAX])
{
    size_t used = 0;
    char word[64];
    unsigned number = 0;
    for (size_t at = 0, n; (n = next_word(text, &at, word)) > 0 && used + 66 < TEXT_MAX;) {
        if (number++ % 3 != 1) {
            continue;
        }
        if (typos && n > 3) {
            word[jade_random_below(r, n)] = (char)('a' + (int)jade_random_below(r, 26));
        }
        memcpy(out + used, word, n);
        used += n;
        out[used++] = ' ';
    }
    return (struct jade_str){.p = out, .n = used};
}

static void known_item(struct bench *x, bool bm25, bool typos)
{
    struct tally found = {.ranks = must(calloc(x->queries, sizeof(double)))};
    struct jade_random r;
    char query[TEXT_MAX];
    jade_random_init(&r, x->seed + 1);
    while (found.n < x->queries) {
        size_t i = jade_random_below(&r, x->c.n);
        struct jade_str q = thinned(x->c.s[i].text, typos, &r, query);
        if (q.n < 12) {
            continue;
        }
        for (size_t k = 0; k < q.n; k++) {
            query[k] = (unsigned char)query[k] < 0x80 ? query[k]
                                                      : 'x'; /* a typo may have cut a code point */
        }
        score(x, bm25, q);
        tally_add(&found, rank_of(x->scores, x->c.n, i, SIZE_MAX));
    }
    tally_print(&found,
                typos ? "known item, a third, one typo each" : "known item, a third of the words");
    free(found.ranks);
}

static void show(struct bench *x, const char *text)
{
    size_t near[5];
    score(x, false, (struct jade_str){.p = text, .n = strlen(text)});
    nearest(x->scores, x->c.n, SIZE_MAX, near, 5);
    printf("\n\"%s\"\n", text);
    for (unsigned k = 0; k < 5; k++) {
        const struct synset *s = &x->c.s[near[k]];
        printf("  %.3f  %-22.22s %.*s\n", (double)x->scores[near[k]], s->name,
               (int)(s->text.n < 90 ? s->text.n : 90), s->text.p);
    }
}

static const struct jade_embed_model *train(struct jade_embed *e, const struct corpus *c,
                                            struct jade_os *os)
{
    struct jade_embed_trainer *t = NULL;
    const struct jade_embed_model *m = NULL;
    uint64_t from = jade_os_mono_us(os);
    CHECK(jade_embed_trainer_new(&t, &failure));
    for (size_t i = 0; i < c->n; i++) {
        CHECK(jade_embed_trainer_add(t, c->s[i].text, &failure));
    }
    CHECK(jade_embed_trainer_finish(t, e, "wordnet", &m, &failure));
    jade_embed_trainer_free(t);
    printf("training: %zu glosses in %.2f s\n", c->n, (double)(jade_os_mono_us(os) - from) / 1e6);
    return m;
}

static void embed_all(struct bench *x, struct jade_os *os)
{
    x->c.vectors = must(malloc(x->c.n * DIM * sizeof(float)));
    uint64_t from = jade_os_mono_us(os);
    for (size_t i = 0; i < x->c.n; i += 256) {
        struct jade_str texts[256];
        size_t n = x->c.n - i < 256 ? x->c.n - i : 256;
        for (size_t k = 0; k < n; k++) {
            texts[k] = x->c.s[i + k].text;
        }
        CHECK(jade_embed_texts(x->m, texts, n, x->c.vectors + i * DIM, &failure));
    }
    double seconds = (double)(jade_os_mono_us(os) - from) / 1e6;
    printf("embedding with %s %s: %zu glosses in %.2f s, %.0f a second on one thread\n",
           jade_embed_model_name(x->m), jade_embed_model_version(x->m), x->c.n, seconds,
           (double)x->c.n / seconds);
}

int main(int argc, char **argv)
{
    const char *folder = "/usr/share/wordnet";
    bool uniform = false, with_words = false;
    struct bench x = {.queries = 2000, .seed = 1};
    int first = 1;
    for (; first < argc && strncmp(argv[first], "--", 2) == 0; first++) {
        if (strcmp(argv[first], "--uniform") == 0) {
            uniform = true;
        } else if (strcmp(argv[first], "--with-words") == 0) {
            with_words = true;
        } else if (strcmp(argv[first], "--wordnet") == 0 && first + 1 < argc) {
            folder = argv[++first];
        } else if (strcmp(argv[first], "--queries") == 0 && first + 1 < argc &&
                   strtoul(argv[first + 1], NULL, 10) > 0) {
            x.queries = strtoul(argv[++first], NULL, 10);
        } else if (strcmp(argv[first], "--seed") == 0 && first + 1 < argc) {
            x.seed = strtoull(argv[++first], NULL, 10);
        } else {
            fprintf(
                stderr,
                "usage: embed_eval [--wordnet DIR] [--queries N] [--seed N] [--uniform] [--with-words] [QUERY...]\n");
            return 2;
        }
    }
    const char *names[] = {"noun", "verb", "adj", "adv"};
    for (uint8_t i = 0; i < 4; i++) {
        read_file(folder, names[i], i, with_words, &x.c);
    }
    link_parents(&x.c);
    x.scores = must(malloc(x.c.n * sizeof *x.scores));

    struct jade_sim *sim = NULL;
    struct jade_embed *e = NULL;
    CHECK(jade_sim_new(1, &sim, &failure));
    CHECK(jade_embed_open(jade_sim_os(sim), "models", &e, &failure));
    x.m = train(e, &x.c, jade_os_posix());
    CHECK(jade_embed_get(e, JADE_EMBED_HASH_384, uniform ? "u1" : NULL, &x.m, &failure));
    embed_all(&x, jade_os_posix());
    bm25_build(&x.b, &x.c);
    for (int bm25 = 0; bm25 < 2; bm25++) {
        printf("\n%s, seed %llu, %zu queries among %zu glosses\n",
               bm25 ? "BM25 over exact words" : "cosine", (unsigned long long)x.seed, x.queries,
               x.c.n);
        related(&x, bm25);
        known_item(&x, bm25, false);
        known_item(&x, bm25, true);
    }
    const char *queries[] = {"a large African mammal with a trunk",
                             "a machine that flies through the air", "someone who plays music",
                             "feeling very sad", "elephnat"};
    if (first < argc) {
        for (; first < argc; first++) {
            show(&x, argv[first]);
        }
    } else {
        for (unsigned i = 0; i < sizeof queries / sizeof queries[0]; i++) {
            show(&x, queries[i]);
        }
    }
    jade_embed_close(e);
    jade_sim_free(sim);
    return 0;
}
