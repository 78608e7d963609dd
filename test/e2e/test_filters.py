"""Filtered search through REST against a model of the filter language in Python (filter_model.py)."""

import random

import pytest
from filter_model import matches
from jadedb import BadRequest, NotSupported

ROWS = 600
SEED = 20240229


def random_metadata(r):
    m = {"n": r.randrange(100), "kind": r.choice(["a", "b", "c", "Ä"])}
    if r.random() < 0.7:
        m["tags"] = r.sample(["x", "y", "z", "w"], r.randrange(4))
    if r.random() < 0.6:
        m["custom"] = {"region": r.choice(["EU", "US"]), "depth": {"level": r.randrange(5)}}
    if r.random() < 0.5:
        m["score"] = round(r.uniform(-1, 1), 3)
    if r.random() < 0.5:
        m["flag"] = r.random() < 0.5
    if r.random() < 0.3:
        m["maybe"] = r.choice([None, 1, "1", True])
    if r.random() < 0.5:
        m["day"] = f"2024-{r.randrange(1, 13):02}-{r.randrange(1, 29):02}T{r.randrange(24):02}:00:00{r.choice(['Z', '+05:00', '-03:00'])}"
    if r.random() < 0.3:
        m["items"] = [{"price": r.randrange(10)} for _ in range(r.randrange(3))]
    if r.random() < 0.1:
        m["custom.region"] = "dotted"
    return m


def random_condition(r):
    path = r.choice(["n", "kind", "tags", "custom.region", "metadata.custom.depth.level", "score", "flag", "maybe", "day", "items.price", "none"])
    leaf = path.rsplit(".", 1)[-1]

    def value():
        return {
            "n": lambda: r.randrange(-5, 105),
            "kind": lambda: r.choice(["a", "b", "c", "Ä", "d"]),
            "tags": lambda: r.choice(["x", "y", "z", "w"]),
            "region": lambda: r.choice(["EU", "US", "dotted"]),
            "level": lambda: r.randrange(6),
            "score": lambda: round(r.uniform(-1, 1), 2),
            "flag": lambda: r.random() < 0.5,
            "maybe": lambda: r.choice([1, "1", True, 1.0]),
            "day": lambda: f"2024-{r.randrange(1, 13):02}-01",
            "price": lambda: r.randrange(10),
            "none": lambda: 1,
        }[leaf]()

    op = r.choice(["plain", "list", "null", "$eq", "$ne", "$in", "$nin", "$gt", "$gte", "$lt", "$lte", "$exists", "$not", "range"])
    if op == "plain":
        return {path: value()}
    if op == "list":
        return {path: [value() for _ in range(r.randrange(1, 4))]}
    if op == "null":
        return {path: None}
    if op in ("$in", "$nin"):
        return {path: {op: [value() for _ in range(r.randrange(1, 4))]}}
    if op == "$exists":
        return {path: {op: r.random() < 0.5}}
    v = value()
    if op == "$not":
        return {path: {"$not": {"$eq": v}}}
    if isinstance(v, bool) and op not in ("$eq", "$ne"):
        return {path: {"$eq": v}}
    if op == "range":
        return {path: {"$gte": v, "$ne": value()}}
    return {path: {op: v}}


def random_filter(r, depth=0):
    kind = r.random()
    if depth == 3 or kind < 0.5:
        f = random_condition(r)
        if r.random() < 0.3:
            f.update(random_condition(r))
        return f
    if kind < 0.6:
        return {"$not": random_filter(r, depth + 1)}
    return {r.choice(["$and", "$or", "$nor"]): [random_filter(r, depth + 1) for _ in range(r.randrange(1, 4))]}


@pytest.fixture(scope="module")
def stored(jade):
    """A database of random metadata; every tenth row replaced once, every seventh deleted; and what it holds."""
    print(f"seed {SEED}")
    r = random.Random(SEED)
    db = jade.create_database("filtered", 8)
    held = {}
    for at in range(0, ROWS, 200):
        batch = []
        for i in range(at, at + 200):
            held[str(i)] = random_metadata(r)
            batch.append({"id": str(i), "values": [r.uniform(-1, 1) for _ in range(8)], "metadata": held[str(i)]})
        db.upsert_many(batch)
    for i in range(0, ROWS, 10):
        held[str(i)] = random_metadata(r)
        db.upsert(str(i), [r.uniform(-1, 1) for _ in range(8)], held[str(i)])
    for i in range(0, ROWS, 7):
        db.delete(str(i))
        del held[str(i)]
    yield db, held
    db.drop()


def test_random_filters_keep_what_the_model_keeps(stored):
    db, held = stored
    r = random.Random(SEED + 1)
    sizes = []
    for n in range(400):
        f = random_filter(r)
        want = {i for i, m in held.items() if matches(m, f)}
        got = [h["id"] for h in db.search([1.0] * 8, top_k=ROWS, filters=f)]
        assert len(got) == len(set(got)), f
        assert set(got) == want, f"filter {n}: {f}"
        sizes.append(len(want))
    assert sum(0 < s < len(held) for s in sizes) > 100, "the generator makes filters that say something"


def test_filtered_neighbours_are_the_nearest_that_match(stored):
    db, held = stored
    f = {"n": {"$lt": 30}}
    everything = db.search([0.5] * 8, top_k=ROWS, exact=True)
    want = [h["id"] for h in everything if matches(held[h["id"]], f)][:10]
    assert [h["id"] for h in db.search([0.5] * 8, top_k=10, filters=f)] == want


def test_filter_is_another_name_of_filters(stored):
    db, _ = stored
    a = db.client.request("POST", f"/databases/{db.id}/search", {"queryVector": [1.0] * 8, "topK": 500, "filter": {"kind": "a"}})
    assert a["results"] and a["results"] == db.search([1.0] * 8, top_k=500, filters={"kind": "a"})


def test_the_words_of_another_dialect(stored):
    db, held = stored
    f = {"must": [{"kind": "a"}], "must_not": [{"n": {"$lt": 50}}]}
    got = {h["id"] for h in db.search([1.0] * 8, top_k=ROWS, filters=f)}
    assert got == {i for i, m in held.items() if m["kind"] == "a" and m["n"] >= 50} and got


@pytest.mark.parametrize(
    "f, place",
    [
        ({"n": {"$gtt": 1}}, "n.$gtt"),
        ({"$orr": []}, "$orr"),
        ({"n": {"$in": 5}}, "n.$in"),
        ({"n": {"$exists": "yes"}}, "n.$exists"),
        ({"$and": {}}, "$and"),
        ({"n": {"$gt": True}}, "n.$gt"),
        ("n > 5", "filter"),
    ],
)
def test_wrong_filters_are_refused_with_their_place(stored, f, place):
    db, _ = stored
    with pytest.raises(BadRequest) as e:
        db.search([1.0] * 8, filters=f)
    assert e.value.status == 400 and e.value.code in ("INVALID_FILTER", "INVALID_ARGUMENT")
    assert any(place in field for field in e.value.fields), e.value


def test_an_unknown_operator_is_answered_with_the_nearest_one(stored):
    db, _ = stored
    with pytest.raises(BadRequest) as e:
        db.search([1.0] * 8, filters={"n": {"$gtt": 1}})
    assert e.value.code == "INVALID_FILTER" and "$gt" in str(e.value.details[0]["reason"])


def test_planned_operators_are_refused_as_such(stored):
    db, _ = stored
    with pytest.raises(NotSupported) as e:
        db.search([1.0] * 8, filters={"kind": {"$regex": "a.*"}})
    assert e.value.code == "NOT_SUPPORTED_YET"


def test_filters_have_bounds(stored):
    db, _ = stored
    deep = {"n": 1}
    for _ in range(20):
        deep = {"$not": deep}
    for f in (deep, {"n": {"$in": list(range(1001))}}, {"kind": "x" * 70000}):
        with pytest.raises(BadRequest) as e:
            db.search([1.0] * 8, filters=f)
        assert e.value.code in ("INVALID_FILTER", "PAYLOAD_TOO_LARGE")
