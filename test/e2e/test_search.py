"""Search: the same answers as numpy, by every metric and index; parameters."""

import math

import numpy
import pytest
from jadedb import NotFound

N, DIM, K = 2000, 24, 10


def distances(metric, rows, q):
    rows, q = rows.astype(numpy.float64), q.astype(numpy.float64)
    if metric == "euclidean":
        return numpy.sqrt(((rows - q) ** 2).sum(1))
    dots = rows @ q
    if metric == "dot":
        return -dots
    return 1 - dots / (numpy.linalg.norm(rows, axis=1) * numpy.linalg.norm(q))


def score(metric, distance):
    return 1 / (1 + distance) if metric == "euclidean" else -distance if metric == "dot" else 1 - distance


def fill(db, rows, metadata=lambda i: None):
    for at in range(0, len(rows), 500):
        batch = []
        for i in range(at, min(at + 500, len(rows))):
            r = {"id": str(i), "values": rows[i]}
            if metadata(i) is not None:
                r["metadata"] = metadata(i)
            batch.append(r)
        db.upsert_many(batch)


@pytest.fixture(scope="module")
def rows():
    return numpy.random.default_rng(7).standard_normal((N, DIM)).astype(numpy.float32)


@pytest.mark.parametrize("index", ["flat", "hnsw"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dot"])
def test_answers_are_those_of_numpy(make, rows, metric, index):
    db = make(DIM, metric=metric, index_type=index)
    fill(db, rows)
    for q in numpy.random.default_rng(8).standard_normal((20, DIM)).astype(numpy.float32):
        d = distances(metric, rows, q)
        hits = db.search(q, top_k=K, exact=True)
        assert [int(h["id"]) for h in hits] == list(numpy.argsort(d, kind="stable")[:K])
        for h in hits:
            want = d[int(h["id"])]
            assert h["score"] == pytest.approx(score(metric, want), abs=2e-5, rel=2e-5)
        scores = [h["score"] for h in hits]
        assert scores == sorted(scores, reverse=True)
        ds = [h["distance"] for h in hits]
        assert ds == sorted(ds)


def test_approximate_answers_come_near_the_exact_ones(make):
    db = make(DIM, metric="euclidean")
    rows = numpy.random.default_rng(6).standard_normal((4 * N, DIM)).astype(numpy.float32)
    fill(db, rows)
    db.wait_indexed(rest=0)
    found = 0
    queries = numpy.random.default_rng(9).standard_normal((50, DIM)).astype(numpy.float32)
    for q in queries:
        want = set(numpy.argsort(distances("euclidean", rows, q))[:K])
        found += len(want & {int(h["id"]) for h in db.search(q, top_k=K, ef_search=200)})
    assert found / (K * len(queries)) > 0.98


def test_a_search_by_id_finds_the_neighbours_and_not_itself(make, rows):
    db = make(DIM, metric="euclidean")
    fill(db, rows[:500])
    d = distances("euclidean", rows[:500], rows[3])
    assert [int(h["id"]) for h in db.search(id="3", top_k=5, exact=True)] == list(numpy.argsort(d)[1:6])
    with pytest.raises(NotFound):
        db.search(id="none")


def test_threshold_cuts_by_score(make, rows):
    db = make(DIM, metric="cosine")
    fill(db, rows[:500])
    everything = db.search(rows[0], top_k=500, exact=True)
    limit = everything[100]["score"]
    hits = db.search(rows[0], top_k=500, threshold=limit, exact=True)
    assert [h["id"] for h in hits] == [h["id"] for h in everything if h["score"] >= limit]
    assert len(hits) == 101


def test_top_k_beyond_the_number_of_rows_answers_all(make):
    db = make(2)
    db.upsert_many([{"id": str(i), "values": [i + 1, 1]} for i in range(7)])
    assert len(db.search([1, 1], top_k=10000)) == 7


def test_an_empty_database_answers_nothing(make):
    assert make(2).search([1, 2]) == []


def test_default_top_k_is_10(make, jade):
    db = make(2)
    db.upsert_many([{"id": str(i), "values": [i + 1, 1]} for i in range(30)])
    assert len(jade.request("POST", f"/databases/{db.id}/search", {"queryVector": [1, 1]})["results"]) == 10


def test_values_and_metadata_come_as_asked_for(make):
    db = make(2)
    db.upsert("x", [1, 2], {"a": 1})
    (plain,) = db.search([1, 2], include_metadata=False)
    assert "values" not in plain and "metadata" not in plain and plain["id"] == "x"
    (full,) = db.search([1, 2], include_metadata=True, include_values=True)
    assert full["values"] == [1, 2] and full["metadata"] == {"a": 1}


def test_snake_case_twins_of_a_search(make, jade):
    db = make(2)
    db.upsert("x", [1, 2], {"a": 1})
    data = jade.request("POST", f"/databases/{db.id}/search", {"query_vector": [1, 2], "top_k": 1, "include_metadata": True})
    assert data["results"][0]["metadata"] == {"a": 1}


def test_cosine_ignores_length(make):
    db = make(2, metric="cosine")
    db.upsert("x", [1e-3, 2e-3])
    (hit,) = db.search([10, 20])
    assert hit["score"] == pytest.approx(1.0, abs=1e-6) and math.isfinite(hit["distance"])


def test_advanced_search_answers_as_search_does(make, rows):
    db = make(DIM)
    fill(db, rows[:300], lambda i: {"n": i})
    body = {"queryVector": rows[0].tolist(), "topK": 5, "filters": {"n": {"$gte": 100}}, "includeMetadata": True}
    hits = db.search_advanced(body)["results"]
    assert hits == db.client.request("POST", f"/databases/{db.id}/search", body)["results"]
    assert all(h["metadata"]["n"] >= 100 for h in hits)


def kernels():
    """Those that this machine has."""
    with open("/proc/cpuinfo") as f:
        flags = f.read()
    return ["scalar"] + [k for k, flag in {"avx2": "avx2", "avx512": "avx512bw"}.items() if flag in flags]


@pytest.mark.parametrize("simd", kernels())
def test_every_kernel_gives_the_same_ids(own_server, rows, simd):
    s = own_server(JADE_SIMD=simd)
    for metric in ("cosine", "euclidean", "dot"):
        db = s.client().create_database(metric, DIM, metric=metric)
        fill(db, rows[:800])
        for q in numpy.random.default_rng(11).standard_normal((10, DIM)).astype(numpy.float32):
            want = list(numpy.argsort(distances(metric, rows[:800], q))[:K])
            assert [int(h["id"]) for h in db.search(q, top_k=K, exact=True)] == want
    assert s.stop() == 0
