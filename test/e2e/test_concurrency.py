"""Many clients at once."""

import threading

from jadedb import Conflict, JadeError, NotFound


def together(n, work):
    """Runs work(i) in n threads; raises the first error."""
    errors = []
    gate = threading.Barrier(n)

    def run(i):
        try:
            gate.wait()
            work(i)
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


def test_writers_and_readers_at_once_lose_nothing(make):
    db = make(8)

    def work(w):
        for i in range(60):
            x = f"{w}-{i}"
            db.upsert(x, [w + 1, i, 1, 1, 1, 1, 1, 1], {"w": w})
            assert db.get(x)["metadata"] == {"w": w}
            if i % 5 == 0:
                hits = db.search([w + 1, i, 1, 1, 1, 1, 1, 1], top_k=3, filters={"w": w})
                assert hits[0]["id"] == x
            if i % 7 == 3:
                db.delete(x)

    together(12, work)
    assert db.status()["vectorCount"] == 12 * (60 - len(range(3, 60, 7)))


def test_of_many_inserts_of_one_id_exactly_one_succeeds(make):
    db = make(2)
    for turn in range(10):
        won = []

        def work(i):
            try:
                db.insert([i + 1, 1], id=f"t{turn}")
                won.append(i)
            except Conflict:
                pass

        together(8, work)
        assert len(won) == 1
        assert db.get(f"t{turn}")["values"] == [won[0] + 1, 1]


def test_versions_count_every_upsert(make):
    db = make(2)
    versions = []
    together(8, lambda i: versions.extend(db.upsert("x", [i + 1, k])["version"] for k in range(25)))
    assert sorted(versions) == list(range(1, 201))
    assert db.get("x")["version"] == 200


def test_a_batch_is_never_seen_by_halves(make):
    db = make(2)
    n = 40
    db.upsert_many([{"id": str(i), "values": [1, 1], "metadata": {"turn": 0}} for i in range(n)])
    done = threading.Event()

    def write():
        for turn in range(1, 60):
            db.upsert_many([{"id": str(i), "values": [1, turn], "metadata": {"turn": turn}} for i in range(n)])
        done.set()

    def read():
        while not done.is_set():
            hits = db.search([1, 1], top_k=n * 2, include_metadata=True)
            assert len(hits) == n
            assert len({h["metadata"]["turn"] for h in hits}) == 1

    together(4, lambda i: write() if i == 0 else read())


def test_of_many_creations_of_one_name_exactly_one_succeeds(jade, name):
    made = []

    def work(i):
        try:
            made.append(jade.create_database(name, i + 1).id)
        except Conflict:
            pass

    together(8, work)
    assert len(made) == 1
    assert [d["databaseId"] for d in jade.list_databases() if d["name"] == name] == made
    jade.delete_database(name)


def test_a_drop_under_load_ends_cleanly(jade, make, name):
    db = make(4)
    odd = []

    def work(i):
        if i == 0:
            while db.status()["vectorCount"] < 50:
                pass
            db.drop()
            return
        for k in range(100000):
            try:
                db.upsert(f"{i}-{k}", [1, 2, 3, 4])
                db.search([1, 2, 3, 4])
            except NotFound:
                return
            except JadeError as e:
                odd.append(e)
                return

    together(6, work)
    assert not odd
    assert name not in [d["name"] for d in jade.list_databases()]


def test_two_hundred_connections_are_served(server):
    clients = [server.client() for _ in range(200)]
    together(200, lambda i: [clients[i].health() for _ in range(5)])
    for c in clients:
        c.close()
