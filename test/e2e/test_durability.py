"""Restarts, clean and hard: everything is there. test/crash/kill_test.py does it under load, many times."""

import json
import time

import pytest
from jadedb import NotFound


FILTER = {"tags": {"$in": ["x"]}, "n": {"$gte": 100, "$lt": 2200}, "new": {"$exists": False}}


def passes(metadata):
    """FILTER, in other words."""
    return "x" in metadata.get("tags", []) and 100 <= metadata.get("n", -1) < 2200 and "new" not in metadata


def state(s):
    """All that a client can see: every row, and what a filtered search and an indexed one find."""
    jade = s.client()
    out = {}
    for d in jade.list_databases():
        db = jade.database(d["databaseId"])
        hits = db.search([1.0] * d["vectorDimension"], top_k=10000, exact=True, include_metadata=True, include_values=True)
        some = db.search([1.0] * d["vectorDimension"], top_k=10000, exact=True, filters=FILTER, include_values=True)
        assert sorted(h["id"] for h in some) == sorted(h["id"] for h in hits if passes(h["metadata"]))
        near = db.search([1.0] * d["vectorDimension"], top_k=5, filters=FILTER)
        assert len(near) == min(5, len(some)) and {h["id"] for h in near} <= {h["id"] for h in some}
        kept = {k: v for k, v in d.items() if k not in ("status", "vectorCount")}  # of the moment, not of the database
        out[d["name"]] = (kept, db.status()["vectorCount"], sorted(hits, key=lambda h: h["id"]), sorted(some, key=lambda h: h["id"]))
    return out, [(k["keyId"], k["scope"]) for k in jade.keys()]


def fill(jade):
    for name, config in {
        "a": {"metric": "cosine", "index_parameters": {"M": 8, "efConstruction": 60, "efSearch": 30}},
        "b": {"metric": "euclidean", "index_type": "flat", "description": "second"},
        "c": {"metric": "dot", "durability": "async"},
    }.items():
        db = jade.create_database(name, 6, **config)
        for at in range(0, 3000, 500):
            db.upsert_many(
                [{"id": f"{i}", "values": [i % 13 - 6, 1, i, 2, 3, 4], "metadata": {"n": i, "tags": ["x", i % 3]}} for i in range(at, at + 500)]
            )
        for i in range(0, 3000, 11):
            db.delete(str(i))
        for i in range(1, 3000, 111):
            db.upsert(str(i), [9, 9, 9, 9, 9, i], {"new": True})


@pytest.mark.parametrize("seal", ["1", "128"])
def test_a_clean_restart_keeps_everything(own_server, seal):
    s = own_server(JADE_SEAL_MIB=seal)
    fill(s.client())
    key = s.client().create_key("reader", "read-only")["key"]
    before = state(s)
    assert s.stop() == 0
    s.start()
    assert state(s) == before
    assert s.client(key).list_databases()
    assert s.stop() == 0


def test_a_kill_keeps_what_was_acknowledged_at_sync(own_server):
    s = own_server(JADE_SEAL_MIB="1")
    jade = s.client()
    fill(jade)
    jade.delete_database("c")  # asynchronous: nothing is promised
    before = state(s)
    s.kill()
    s.start()
    assert state(s) == before


# ---- the levels below sync (DP-007, DP-008) ----

BATCH = 50


def write_batches(db, count, **more):
    """Batch b holds the ids b-0 to b-49, each with b in its values: [b, place, 1]."""
    for b in range(count):
        db.upsert_many([{"id": f"{b}-{i}", "values": [b, i, 1], "metadata": {"batch": b}} for i in range(BATCH)], **more)


def whole_batches(s, name="a"):
    """Batches that are there; asserts that each is there whole, with its own values, and that the log was not torn in its middle."""
    db = s.client().database(name)
    hits = db.search([0, 0, 1], top_k=10000, exact=True, include_values=True)
    assert len(hits) == db.status()["vectorCount"]
    found = {}
    for h in hits:
        b, i = (int(n) for n in h["id"].split("-"))
        assert h["values"] == [b, i, 1] and h["metadata"] == {"batch": b}
        found.setdefault(b, set()).add(i)
    assert all(places == set(range(BATCH)) for places in found.values()), "half a batch"
    assert sorted(found) == list(range(len(found))), "a batch is missing before one that is there"
    return len(found)


def wait_durable(db):
    """Until the log is on stable storage up to what is visible now. The bound is for a loaded machine; no write comes meanwhile."""
    wanted, until = db.status()["visibleLsn"], time.monotonic() + 30
    while db.status()["durableLsn"] < wanted:
        assert time.monotonic() < until, db.status()
        time.sleep(0.01)


@pytest.mark.parametrize("seal", ["1", "128"])
def test_a_kill_at_once_keeps_what_was_acknowledged_at_periodic(own_server, seal):
    s = own_server(JADE_SYNC_INTERVAL_MS="3600000", JADE_SEAL_MIB=seal)  # no tick of the clock helps it
    db = s.client().create_database("a", 3, metric="euclidean", durability="periodic")
    write_batches(db, 40)
    s.kill()
    s.start()
    assert whole_batches(s) == 40


def test_a_kill_after_the_interval_keeps_what_was_acknowledged_at_async(own_server):
    s = own_server(JADE_SYNC_INTERVAL_MS="100")
    db = s.client().create_database("a", 3, metric="euclidean", durability="async")
    write_batches(db, 40)
    wait_durable(db)
    s.kill()
    s.start()
    assert whole_batches(s) == 40


def test_a_kill_at_once_may_cost_batches_at_async_but_never_a_part_of_one(own_server):
    s = own_server(JADE_SYNC_INTERVAL_MS="3600000")
    jade = s.client()
    db = jade.create_database("a", 3, metric="euclidean", durability="async")
    write_batches(db, 7)
    db.upsert("7-0", [7, 0, 1], {"batch": 7}, durability="sync")  # a request may ask for more: it takes what came before it along
    db.upsert_many([{"id": f"7-{i}", "values": [7, i, 1], "metadata": {"batch": 7}} for i in range(BATCH)], durability="sync")
    for b in range(8, 20):
        db.upsert_many([{"id": f"{b}-{i}", "values": [b, i, 1], "metadata": {"batch": b}} for i in range(BATCH)])
    assert db.status()["durableLsn"] < db.status()["visibleLsn"]  # else this test would prove nothing
    assert db.search([19, 0, 1], top_k=1)[0]["id"] == "19-0"  # seen at once, whatever the level
    s.kill()
    s.start()
    assert 8 <= whole_batches(s) < 20
    db = s.client().database("a")
    db.upsert_many([{"id": "again", "values": [1, 2, 3]}], durability="sync")  # the log goes on
    s.kill()
    s.start()
    assert s.client().database("a").get("again")["values"] == [1, 2, 3]


def test_a_clean_stop_keeps_what_was_acknowledged_at_async(own_server):
    s = own_server(JADE_SYNC_INTERVAL_MS="3600000")
    write_batches(s.client().create_database("a", 3, metric="euclidean", durability="async"), 10)
    assert s.stop() == 0
    s.start()
    assert whole_batches(s) == 10


def test_the_configuration_of_a_database_lives_through_a_restart(own_server):
    s = own_server()
    db = s.client().create_database("a", 3)
    db.update({"description": "after", "indexParameters": {"M": 16, "efConstruction": 200, "efSearch": 77}})
    before = s.client().get_database("a").info
    s.kill()
    s.start()
    assert s.client().get_database("a").info == before


def test_a_dropped_database_stays_dropped(own_server):
    s = own_server()
    jade = s.client()
    jade.create_database("a", 3).upsert("x", [1, 2, 3])
    gone = jade.get_database("a").id
    jade.delete_database("a")
    s.kill()
    s.start()
    with pytest.raises(NotFound):
        s.client().get_database("a")
    assert not (s.data / gone).exists()


def open_files(s, database_id):
    folder = f"/proc/{s.process.pid}/fd"
    import os

    found = []
    for fd in os.listdir(folder):
        try:
            target = os.readlink(f"{folder}/{fd}")
        except FileNotFoundError:
            continue
        if database_id in target:
            found.append(target)
    return found


def test_an_idle_database_is_closed_and_opens_again_by_itself(own_server):
    s = own_server(JADE_IDLE_CLOSE_SECONDS="1")
    jade = s.client()
    db = jade.create_database("sleepy", 4)
    db.upsert_many([{"id": str(i), "values": [i, 1, 2, 3]} for i in range(1000)])
    assert open_files(s, db.id)
    until = time.monotonic() + 30
    while jade.get_database("sleepy").info["status"] != "idle":  # unlike GET …/status this opens nothing
        assert time.monotonic() < until
        time.sleep(0.05)
    assert open_files(s, db.id) == []
    with open(f"/proc/{s.process.pid}/maps") as maps:
        assert db.id not in maps.read()
    assert db.get("7")["values"] == [7, 1, 2, 3]
    assert db.search([7, 1, 2, 3], top_k=1)[0]["id"]
    assert jade.get_database("sleepy").info["status"] == "open"


def test_damage_is_told_and_stops_only_its_database(own_server):
    s = own_server()
    jade = s.client()
    ids = {name: jade.create_database(name, 4).id for name in ("hurt", "well")}
    for name in ids:
        jade.database(name).upsert_many([{"id": str(i), "values": [i, 1, 2, 3]} for i in range(5000)])
    assert s.stop() == 0
    files = sorted((s.data / ids["hurt"] / "0").rglob("*"), key=lambda p: p.stat().st_size if p.is_file() else -1)
    victim = files[-1]
    with open(victim, "r+b") as f:
        f.seek(victim.stat().st_size // 2 if "wal" not in str(victim) else 9000)
        f.write(b"\xa5" * 512)
    s.start()
    jade = s.client()
    assert jade.database("well").get("7")["values"] == [7, 1, 2, 3]
    status, _, body = jade.raw("POST", "/api/v1/databases/hurt/search", json.dumps({"queryVector": [1, 1, 1, 1], "exact": True}).encode())
    assert status == 500 and json.loads(body)["error"]["code"] == "DATA_CORRUPT", body
    assert jade.database("well").search([1, 1, 2, 3], top_k=1)
    assert s.stop() == 0
    told = [e for e in map(json.loads, s.log_text().splitlines()) if e["msg"] == "request failed"]
    assert [(e["level"].lower(), e["code"], e["category"], e["status"]) for e in told] == [("error", "DATA_CORRUPT", "system", 500)]
    assert told[0]["requestId"] == json.loads(body)["meta"]["requestId"]


def test_the_kill_test_sees_a_lost_write():
    """The canary of test/crash/kill_test.py: a test that cannot fail would be worth nothing."""
    import subprocess

    from server import ROOT

    r = subprocess.run([ROOT / "test/crash/kill_test.py", "--rounds", "2", "--canary"], capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, r.stdout + r.stderr
    assert "lost: 1, half: 0" in r.stdout
