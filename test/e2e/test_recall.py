"""
A2: recall@10 of HNSW (M=16, efConstruction=200, efSearch=100) on MNIST-784 through REST, against exact ground truth from numpy, and the
same answers as through libjade. 10,000 rows here; all 60,000 in the long form (make test-recall).
"""

import time

import libjade
import mnist
import numpy
import pytest
from server import Server

K, EF = 10, 100


def recall(answers, rows, queries, limits):
    """Tie-aware: an answer as near as the tenth exact one counts. answers: lists of row numbers."""
    found = 0
    for got, q, limit in zip(answers, queries, limits):
        assert len(got) == len(set(got)) == K
        d = numpy.sqrt(((rows[got].astype(numpy.float64) - q.astype(numpy.float64)) ** 2).sum(1))
        found += int((d <= limit * (1 + 1e-9) + 1e-9).sum())
    return found / (K * len(queries))


def run(folder, n_rows, n_queries):
    rows, queries, source = mnist.load(n_rows, n_queries)
    _, distances = mnist.exact(rows, queries, K)
    limits = distances[:, -1]
    ids = [str(i) for i in range(len(rows))]
    print(f"\n{source}, {len(queries)} queries")
    # One background thread: the order of insertion into the graph, and so the graph itself, is the same in both.
    with Server(folder / "data", JADE_BACKGROUND_THREADS="1") as s:
        db = s.client(timeout=600).create_database(
            "mnist", 784, metric="euclidean", index_type="hnsw", index_parameters={"M": 16, "efConstruction": 200, "efSearch": EF}
        )
        begin = time.monotonic()
        for at in range(0, len(rows), 500):
            db.upsert_many([{"id": ids[i], "values": rows[i]} for i in range(at, min(at + 500, len(rows)))])
        stored = time.monotonic() - begin
        db.wait_indexed(1200, rest=0)
        print(f"stored in {stored:.1f} s, indexed after {time.monotonic() - begin:.1f} s")
        begin = time.monotonic()
        hits = [db.search(q, top_k=K) for q in queries]
        print(f"{len(queries) / (time.monotonic() - begin):.0f} searches/s through one connection")
        rest = [[int(h["id"]) for h in answer] for answer in hits]
        exact = [[h["distance"] for h in db.search(q, top_k=K, exact=True)] for q in queries]
    lib = libjade.Library(folder / "lib", 784, metric="euclidean", index="hnsw", m=16, ef_construction=200, ef_search=EF)
    try:
        for at in range(0, len(rows), 500):
            lib.upsert(ids[at : at + 500], rows[at : at + 500])
        lib.wait_indexed(1200)
        through_lib = [[int(x) for x, _ in lib.search(q, K)] for q in queries]
        exact_lib = [[d for _, d in lib.search(q, K, exact=True)] for q in queries]
    finally:
        lib.close()
    r_rest, r_lib = recall(rest, rows, queries, limits), recall(through_lib, rows, queries, limits)
    same = sum(set(a) == set(b) for a, b in zip(rest, through_lib)) / len(queries)
    print(f"recall@10 through REST {r_rest:.5f}, through libjade {r_lib:.5f}, same ten ids in {same:.4f} of the queries")
    assert r_rest >= 0.99 and r_lib >= 0.99
    for got in (exact, exact_lib):
        assert numpy.allclose(numpy.array(got), distances, rtol=1e-5)
    assert same >= 0.999, "one thread builds both graphs in the same order"
    for answer, q in zip(hits, queries):
        for h in answer:
            d = numpy.sqrt(((rows[int(h["id"])].astype(numpy.float64) - q) ** 2).sum())
            assert h["distance"] == pytest.approx(d, rel=1e-5)


def test_recall_on_ten_thousand_rows(tmp_path):
    run(tmp_path, 10000, 300)


@pytest.mark.slow
def test_recall_on_the_whole_of_mnist(tmp_path):
    run(tmp_path, 60000, 1000)
