/*
 * A filter on an index. Each node gives two sets: `yes`, the rows that match for certain, and
 * `more`, those that may match besides. `more` comes from over-long strings and from rows with
 * unindexed paths; it is carried through AND, OR and NOT, and what is left of it at the end is
 * decided on the rows themselves, with jade_filter_match.
 */
#include "base/assert.h"
#include "filter/metaindex_private.h"

struct set {
    roaring_bitmap_t *yes;
    roaring_bitmap_t *more; /* NULL: empty; always apart from yes */
};

struct frame {
    uint32_t node;
    struct set acc; /* of the children so far; yes NULL before the first */
};

struct eval {
    struct jade_metaindex *ix;
    const struct jade_filter *f;
    uint32_t n_rows;
    struct frame frames[JADEI_NODE_DEPTH_MAX];
    unsigned depth;
    struct jade_err *err;
};

static void drop(roaring_bitmap_t **b)
{
    if (*b != NULL) {
        roaring_bitmap_free(*b);
    }
    *b = NULL;
}

static void set_release(struct set *s)
{
    drop(&s->yes);
    drop(&s->more);
}

static jade_code no_memory(struct jade_err *err)
{
    return jade_fail(err, JADE_E_NOMEM, "no memory to evaluate a filter");
}

static jade_code new_bitmap(roaring_bitmap_t **out, struct jade_err *err)
{
    *out = roaring_bitmap_create();
    return *out == NULL ? no_memory(err) : JADE_OK;
}

static jade_code all_rows(uint32_t n_rows, roaring_bitmap_t **out, struct jade_err *err)
{
    *out = n_rows == 0 ? roaring_bitmap_create() : roaring_bitmap_from_range(0, n_rows, 1);
    return *out == NULL ? no_memory(err) : JADE_OK;
}

/* Keeps the invariant of `more`. */
static void tidy(struct set *s)
{
    if (s->more != NULL) {
        roaring_bitmap_andnot_inplace(s->more, s->yes);
        if (roaring_bitmap_is_empty(s->more)) {
            drop(&s->more);
        }
    }
}

/* ---- leaves ---- */

struct leaf {
    struct eval *e;
    const struct jadei_node *node;
    uint32_t path;
    struct set *out;
};

static jade_code pick(struct leaf *l, const struct jadei_select *s, roaring_bitmap_t *into)
{
    return l->e->ix->file == NULL ? jadei_grow_select(l->e->ix, l->path, s, into, l->e->err)
                                  : jadei_map_select(l->e->ix, l->path, s, into, l->e->err);
}

static jade_code pick_more(struct leaf *l, const struct jadei_select *s)
{
    jade_code rc = JADE_OK;
    if (l->out->more == NULL) {
        JADE_TRY(new_bitmap(&l->out->more, l->e->err));
    }
    rc = pick(l, s, l->out->more);
out:
    return rc;
}

/* Rows without the path. */
static jade_code pick_absent(struct leaf *l)
{
    jade_code rc = JADE_OK;
    roaring_bitmap_t *there = NULL;
    roaring_bitmap_t *absent = NULL;
    JADE_TRY(new_bitmap(&there, l->e->err));
    JADE_TRY(pick(l, &(struct jadei_select){.kind = JADEI_SELECT_EXISTS}, there));
    JADE_TRY(all_rows(l->e->n_rows, &absent, l->e->err));
    roaring_bitmap_andnot_inplace(absent, there);
    roaring_bitmap_or_inplace(l->out->yes, absent);
out:
    drop(&there);
    drop(&absent);
    return rc;
}

static jade_code pick_equal(struct leaf *l, const struct jadei_value *v)
{
    jade_code rc = JADE_OK;
    uint8_t key[JADEI_TERM_KEY_MAX];
    struct jadei_select s = {.key = key};
    switch (v->type) {
    case JADE_JSON_NULL:
        s.kind = JADEI_SELECT_NULL;
        JADE_TRY(pick(l, &s, l->out->yes));
        return pick_absent(l);
    case JADE_JSON_BOOL:
        s.kind = v->as.boolean ? JADEI_SELECT_TRUE : JADEI_SELECT_FALSE;
        break;
    case JADE_JSON_STRING:
        s.kind = JADEI_SELECT_TERM;
        s.key_len =
            jadei_term_key((const char *)l->e->f->bytes + v->text, v->text_len, v->is_time, key);
        if (key[0] == JADEI_TAG_LONG) {
            return pick_more(l, &s);
        }
        break;
    default:
        s.kind = JADEI_SELECT_NUMBERS;
        s.in.low = (struct jadei_end){.set = true, .number = v->number};
        s.in.high = s.in.low;
    }
    rc = pick(l, &s, l->out->yes);
out:
    return rc;
}

/* Narrows the interval by an ordered leaf; times: its moment instead of its text. */
static void narrow(const struct jade_filter *f, const struct jadei_node *node, bool times,
                   struct jadei_interval *in)
{
    const struct jadei_value *v = &f->values[node->value];
    bool is_low = node->op == JADEI_GT || node->op == JADEI_GTE;
    struct jadei_end *end = is_low ? &in->low : &in->high;
    JADE_ASSERT(!end->set);
    *end = (struct jadei_end){.set = true,
                              .open = node->op == JADEI_GT || node->op == JADEI_LT,
                              .number = times ? jadei_number_of_time(v->time_us) : v->number,
                              .text = f->bytes + v->text,
                              .text_len = v->text_len};
}

/* The leaf's interval, and that of its partner (NULL: none). */
static jade_code pick_ordered(struct leaf *l, const struct jadei_node *partner)
{
    jade_code rc = JADE_OK;
    const struct jade_filter *f = l->e->f;
    const struct jadei_value *v = &f->values[l->node->value];
    struct jadei_interval in = {0};
    struct jadei_interval times = {0};
    for (const struct jadei_node *node = l->node; node != NULL;
         node = node == l->node ? partner : NULL) {
        narrow(f, node, false, &in);
        narrow(f, node, true, &times);
    }
    if (v->type != JADE_JSON_STRING) {
        return pick(l, &(struct jadei_select){.kind = JADEI_SELECT_NUMBERS, .in = in}, l->out->yes);
    }
    struct jadei_select s = {.kind = JADEI_SELECT_TERMS, .tag = JADEI_TAG_PLAIN, .in = in};
    JADE_TRY(pick(l, &s, l->out->yes));
    if (v->is_time) {
        s.kind = JADEI_SELECT_TIMES;
        s.in = times;
    } else {
        s.tag = JADEI_TAG_DATE;
    }
    JADE_TRY(pick(l, &s, l->out->yes));
    rc = pick_more(l, &(struct jadei_select){.kind = JADEI_SELECT_TERMS, .tag = JADEI_TAG_LONG});
out:
    return rc;
}

/*
 * The next node, when it and this one are the two ends of one interval and may be taken as such:
 * neighbours in an AND, of one path where no row has two values (with two, each end may hold for
 * another one), both numbers, both dates, or both other strings.
 */
static const struct jadei_node *partner_of(const struct leaf *l)
{
    const struct eval *e = l->e;
    const struct jadei_node *a = l->node;
    const struct jadei_node *b = a + 1;
    if (e->depth == 0) {
        return NULL;
    }
    const struct jadei_node *parent = &e->f->nodes[e->frames[e->depth - 1].node];
    if (parent->op != JADEI_AND || a->end >= parent->end || b->op < JADEI_GT || b->op > JADEI_LTE ||
        (a->op == JADEI_GT || a->op == JADEI_GTE) == (b->op == JADEI_GT || b->op == JADEI_GTE)) {
        return NULL;
    }
    const struct jadei_value *x = &e->f->values[a->value];
    const struct jadei_value *y = &e->f->values[b->value];
    bool several =
        e->ix->file == NULL ? e->ix->paths[l->path]->several : e->ix->saved[l->path].several;
    if (several || x->is_time != y->is_time ||
        (x->type == JADE_JSON_STRING) != (y->type == JADE_JSON_STRING) ||
        jadei_text_compare(e->f->bytes + a->path, a->path_len, e->f->bytes + b->path,
                           b->path_len) != 0) {
        return NULL;
    }
    return b;
}

static bool wants_null(const struct jade_filter *f, const struct jadei_node *node)
{
    for (uint32_t i = 0; node->op == JADEI_ANY && i < node->n_values; i++) {
        if (f->values[node->value + i].type == JADE_JSON_NULL) {
            return true;
        }
    }
    return false;
}

/* The path is not in the table: only rows of the overflow can have it. */
static jade_code unindexed_leaf(struct leaf *l)
{
    jade_code rc = JADE_OK;
    struct set *out = l->out;
    JADE_TRY(new_bitmap(&out->more, l->e->err));
    if (l->e->ix->file == NULL) {
        jadei_rows_or(&l->e->ix->overflow, out->more);
    } else {
        JADE_TRY(jadei_saved_or(l->e->ix, l->e->ix->saved_overflow, out->more, l->e->err));
    }
    if (wants_null(l->e->f, l->node)) {
        drop(&out->yes);
        JADE_TRY(all_rows(l->e->n_rows, &out->yes, l->e->err));
        roaring_bitmap_andnot_inplace(out->yes, out->more);
    }
out:
    return rc;
}

static bool find_path(struct leaf *l)
{
    const char *name = (const char *)l->e->f->bytes + l->node->path;
    uint64_t id = 0;
    if (l->e->ix->file != NULL) {
        return jadei_map_find(l->e->ix, name, l->node->path_len, &l->path);
    }
    bool found = jade_map_get(&l->e->ix->path_ids, name, l->node->path_len, &id);
    l->path = (uint32_t)id;
    return found;
}

/* *used_out: leaves that the result covers, 1 or 2. */
static jade_code eval_leaf(struct eval *e, const struct jadei_node *node, struct set *out,
                           uint32_t *used_out)
{
    jade_code rc = JADE_OK;
    struct leaf l = {.e = e, .node = node, .out = out};
    *out = (struct set){0};
    *used_out = 1;
    if (node->op == JADEI_ALL) {
        return all_rows(e->n_rows, &out->yes, e->err);
    }
    JADE_TRY(new_bitmap(&out->yes, e->err));
    if (!find_path(&l)) {
        rc = unindexed_leaf(&l);
    } else if (node->op == JADEI_EXISTS) {
        rc = pick(&l, &(struct jadei_select){.kind = JADEI_SELECT_EXISTS}, out->yes);
    } else if (node->op != JADEI_ANY) {
        const struct jadei_node *partner = partner_of(&l);
        *used_out = partner == NULL ? 1 : 2;
        rc = pick_ordered(&l, partner);
    } else {
        for (uint32_t i = 0; i < node->n_values; i++) {
            JADE_TRY(pick_equal(&l, &e->f->values[node->value + i]));
        }
    }
out:
    if (rc != JADE_OK) {
        set_release(out);
        return rc;
    }
    tidy(out);
    return JADE_OK;
}

/* ---- groups ---- */

/* acc = acc AND child; the child is used up. */
static jade_code fold_and(struct set *acc, struct set *child, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    roaring_bitmap_t *upper = NULL;
    roaring_bitmap_t *other = NULL;
    if (acc->more != NULL || child->more != NULL) {
        upper = acc->more == NULL ? roaring_bitmap_copy(acc->yes)
                                  : roaring_bitmap_or(acc->yes, acc->more);
        other = child->more == NULL ? roaring_bitmap_copy(child->yes)
                                    : roaring_bitmap_or(child->yes, child->more);
        if (upper == NULL || other == NULL) {
            rc = no_memory(err);
            goto out;
        }
        roaring_bitmap_and_inplace(upper, other);
        drop(&acc->more);
        acc->more = upper;
        upper = NULL;
    }
    roaring_bitmap_and_inplace(acc->yes, child->yes);
    tidy(acc);
out:
    drop(&upper);
    drop(&other);
    set_release(child);
    return rc;
}

static void fold_or(struct set *acc, struct set *child)
{
    roaring_bitmap_or_inplace(acc->yes, child->yes);
    if (acc->more == NULL) {
        acc->more = child->more;
        child->more = NULL;
    } else if (child->more != NULL) {
        roaring_bitmap_or_inplace(acc->more, child->more);
    }
    tidy(acc);
    set_release(child);
}

/* What was uncertain stays uncertain. */
static jade_code complement(uint32_t n_rows, struct set *s, struct jade_err *err)
{
    roaring_bitmap_t *all = NULL;
    jade_code rc = all_rows(n_rows, &all, err);
    if (rc != JADE_OK) {
        return rc;
    }
    roaring_bitmap_andnot_inplace(all, s->yes);
    if (s->more != NULL) {
        roaring_bitmap_andnot_inplace(all, s->more);
    }
    drop(&s->yes);
    s->yes = all;
    return JADE_OK;
}

/* Takes a child's result into its parent. *settled_out: no further child can change the parent. */
static jade_code fold(struct eval *e, struct frame *top, struct set *child, bool *settled_out)
{
    jade_code rc = JADE_OK;
    enum jadei_op op = e->f->nodes[top->node].op;
    *settled_out = false;
    if (top->acc.yes == NULL) {
        top->acc = *child;
        *child = (struct set){0};
        if (op == JADEI_NOT) {
            JADE_TRY(complement(e->n_rows, &top->acc, e->err));
        }
    } else if (op == JADEI_OR) {
        fold_or(&top->acc, child);
    } else {
        JADE_TRY(fold_and(&top->acc, child, e->err));
    }
    *settled_out =
        op == JADEI_AND && top->acc.more == NULL && roaring_bitmap_is_empty(top->acc.yes);
out:
    return rc;
}

static jade_code eval_tree(struct eval *e, struct set *out)
{
    jade_code rc = JADE_OK;
    uint32_t i = 0;
    for (;;) {
        const struct jadei_node *node = &e->f->nodes[i];
        if (node->op <= JADEI_NOT) {
            JADE_ASSERT(e->depth < JADEI_NODE_DEPTH_MAX && i + 1 < node->end);
            e->frames[e->depth++] = (struct frame){.node = i++};
            continue;
        }
        uint32_t n_used = 0;
        JADE_TRY(eval_leaf(e, node, out, &n_used));
        i += n_used;
        while (e->depth > 0) {
            struct frame *top = &e->frames[e->depth - 1];
            uint32_t end = e->f->nodes[top->node].end;
            bool settled = false;
            JADE_TRY(fold(e, top, out, &settled));
            if (i < end && !settled) {
                break;
            }
            i = end;
            *out = top->acc;
            e->depth--;
        }
        if (e->depth == 0) {
            return JADE_OK;
        }
    }
out:
    while (e->depth > 0) {
        set_release(&e->frames[--e->depth].acc);
    }
    set_release(out);
    return rc;
}

/* ---- rows that the index cannot decide ---- */

static jade_code check_row(const struct eval *e, struct jade_json_parser *parser, const char *json,
                           size_t n, bool *match_out)
{
    struct jade_json root = {0};
    jade_code rc = JADE_OK;
    if (n > 0) {
        JADE_TRY(jade_json_parse(parser, json, n, &root, e->err));
    }
    *match_out = jade_filter_match(e->f, root);
out:
    return rc;
}

static jade_code check_rows(const struct eval *e, const roaring_bitmap_t *rows,
                            jade_metaindex_row_fn row_fn, void *ctx, roaring_bitmap_t *into)
{
    jade_code rc = JADE_OK;
    struct jade_json_parser *parser = NULL;
    roaring_uint32_iterator_t it;
    JADE_ASSERT(row_fn != NULL);
    JADE_TRY(
        jade_json_parser_new(JADE_METADATA_BYTES_MAX, JADE_METADATA_DEPTH_MAX, &parser, e->err));
    for (roaring_init_iterator(rows, &it); it.has_value; roaring_advance_uint32_iterator(&it)) {
        const char *json = NULL;
        size_t n = 0;
        bool match = false;
        JADE_TRY(row_fn(ctx, it.current_value, &json, &n, e->err));
        rc = check_row(e, parser, json, n, &match);
        if (rc != JADE_OK) {
            rc = jade_err_wrap(e->err, rc, "metadata of row %u", it.current_value);
            goto out;
        }
        if (match) {
            roaring_bitmap_add(into, it.current_value);
        }
    }
out:
    jade_json_parser_free(parser);
    return rc;
}

/* Rows that an error left half indexed are uncertain whatever the index says; rows past the end do
 * not exist. */
static jade_code clip(const struct eval *e, struct set *s)
{
    jade_code rc = JADE_OK;
    uint32_t from = e->ix->unknown_from;
    uint32_t to = e->ix->unknown_to;
    if (from < to) {
        if (s->more == NULL) {
            JADE_TRY(new_bitmap(&s->more, e->err));
        }
        roaring_bitmap_add_range_closed(s->more, from, to - 1);
        roaring_bitmap_remove_range_closed(s->yes, from, to - 1);
    }
    if (e->n_rows < e->ix->n_rows) {
        roaring_bitmap_remove_range_closed(s->yes, e->n_rows, UINT32_MAX);
        if (s->more != NULL) {
            roaring_bitmap_remove_range_closed(s->more, e->n_rows, UINT32_MAX);
        }
    }
out:
    return rc;
}

jade_code jade_metaindex_eval(struct jade_metaindex *ix, const struct jade_filter *f,
                              uint32_t n_rows, jade_metaindex_row_fn row_fn, void *ctx,
                              roaring_bitmap_t **out, struct jade_err *err)
{
    jade_code rc = JADE_OK;
    struct set result = {0};
    *out = NULL;
    if (jade_filter_is_empty(f)) {
        return all_rows(n_rows, out, err);
    }
    struct eval e;
    e.ix = ix;
    e.f = f;
    e.n_rows = n_rows;
    e.depth = 0;
    e.err = err;
    JADE_TRY(eval_tree(&e, &result));
    JADE_TRY(clip(&e, &result));
    if (result.more != NULL && !roaring_bitmap_is_empty(result.more)) {
        JADE_TRY(check_rows(&e, result.more, row_fn, ctx, result.yes));
    }
    *out = result.yes;
    result.yes = NULL;
out:
    set_release(&result);
    return rc;
}
