#!/usr/bin/python3
"""
Kill test (A3): a real server under concurrent writers is killed with SIGKILL at random times and started again; what it acknowledged
at durability `sync` must be there, nothing may be half there.

    test/crash/kill_test.py --rounds 200 [--seed N] [--seal-mib 1] [--writers 4]

Each writer owns its ids, so that the order of writes to an id is known, and keeps a ledger: the state after the last acknowledged write of
each id, and the write in flight when the connection broke. After the restart the server must start by itself and hold, for
each id, the acknowledged state, or for ids of the write in flight the state before or after it, the same choice for all ids of a batch.
Values and metadata carry writer, counter and a checksum of both, so that a mixture of two writes cannot pass. Every row that
the server holds is compared, not only the ones that were written in the round; the number of rows must be that of the ledger.

--seal-mib 1 (the first half of the rounds by default) makes the server seal and merge segments all the time, so that kills fall into these
as well. The canary run (--canary) forgets one acknowledged write of the server's on purpose and must report it lost.
"""

import argparse
import random
import shutil
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from server import Server  # noqa: E402 (puts the client on the path)
from jadedb import ConnectionFailed, JadeError, NotFound  # noqa: E402 isort: skip

DIM = 512  # many bytes of log for few of JSON, so that the server seals often
IDS = 400  # of a writer
GONE = None  # state of an id that is not there


def record(vector_id, counter):
    """The one record that writer and counter determine: a function of both, with a checksum in the metadata."""
    seed = zlib.crc32(f"{vector_id}/{counter}".encode())
    base = [1 + ((seed >> (i % 24)) & 7) for i in range(16)]
    values = base * (DIM // len(base))
    check = zlib.crc32(bytes(base) + str(counter).encode())
    return {"id": vector_id, "values": values, "metadata": {"counter": counter, "check": check}}


def state_of(answer):
    """The counter of a record that came back, or a text that says what is wrong with it."""
    m = answer.get("metadata") or {}
    counter = m.get("counter")
    want = record(answer["id"], counter)
    if answer.get("values") != want["values"] or m != want["metadata"]:
        return f"half: {answer['id']} has {answer.get('values')} {m}"
    return counter


class Writer:
    """Writes to its own ids until its connection breaks; knows what was acknowledged."""

    def __init__(self, number, seed):
        self.number = number
        self.random = random.Random(seed)
        self.ids = [f"w{number}-{i}" for i in range(IDS)]
        self.known = {}  # id -> counter of the last acknowledged upsert; absent: not there
        self.in_flight = None  # {id: counter or GONE} of the write whose answer never came
        self.counter = 0
        self.acknowledged = 0
        self.error = None

    def next_write(self):
        """{id: new counter or GONE}."""
        kind = self.random.random()
        if kind < 0.2 and self.known:
            return {self.random.choice(sorted(self.known)): GONE}
        n = 1 if kind < 0.6 else self.random.randrange(2, 120)
        ids = self.random.sample(self.ids, n)
        self.counter += 1
        return {i: self.counter for i in ids}

    def send(self, db, write):
        ids = list(write)
        if write[ids[0]] is GONE:
            db.delete(ids[0])
        elif len(ids) == 1:
            r = record(ids[0], write[ids[0]])
            db.upsert(r["id"], r["values"], r["metadata"], durability="sync")
        else:
            db.upsert_many([record(i, c) for i, c in write.items()], durability="sync")

    def apply(self, write):
        for i, c in write.items():
            if c is GONE:
                self.known.pop(i, None)
            else:
                self.known[i] = c

    def run(self, db, stop):
        while not stop.is_set():
            self.in_flight = self.next_write()
            try:
                self.send(db, self.in_flight)
            except ConnectionFailed:
                return
            except JadeError as e:
                if e.status != 503:  # what a server that is dying may say
                    self.error = e
                return
            self.apply(self.in_flight)
            self.in_flight = None
            self.acknowledged += 1

    def settle(self, held, problems):
        """Compares with what the server holds of our ids; takes over what the write in flight turned out to be."""
        flight = self.in_flight or {}
        for i in self.ids:
            if i not in flight:
                self.expect(i, held.get(i), self.known.get(i), problems)
        before = all(held.get(i) == self.known.get(i) for i in flight)
        after = all(held.get(i) == c for i, c in flight.items())
        if not before and not after:
            got = {i: held.get(i) for i in flight}
            problems.append(f"half: a write of {len(flight)} ids to {flight} is there as {got}, before it {[self.known.get(i) for i in flight]}")
        if after and not before:
            self.apply(flight)
        self.in_flight = None

    def expect(self, vector_id, got, want, problems):
        if isinstance(got, str):
            problems.append(got)
        elif got != want:
            problems.append(f"lost: {vector_id} is {got}, acknowledged was {want}")


def read_all(db):
    """{id: counter} of every row, by an exact search that returns all."""
    hits = db.search([1.0] * DIM, top_k=10000, exact=True, include_metadata=True, include_values=True)
    held = {}
    for h in hits:
        if h["id"] in held:
            held[h["id"]] = f"half: {h['id']} is there twice"
        else:
            held[h["id"]] = state_of(h)
    return held


def check(db, writers, rng, problems):
    """The whole database against the ledgers; some ids also by GET, which takes another path than search."""
    held = read_all(db)
    count = db.status()["vectorCount"]
    if count != len(held):
        problems.append(f"half: the server counts {count} rows and shows {len(held)}")
    known = {i for w in writers for i in w.ids}
    problems += [f"half: {i} was never written" for i in held if i not in known]
    for w in writers:
        w.settle(held, problems)
        for i in rng.sample(w.ids, 10):
            try:
                got = state_of(db.get(i))
            except NotFound:
                got = GONE
            if got != held.get(i):
                problems.append(f"half: {i} is {got} by GET and {held.get(i)} by search")


def one_round(server, writers, rng, problems):
    """Writers run, the server dies, comes back and is compared. Returns the seconds that this took and the checkpoint then."""
    stop = threading.Event()
    threads = [threading.Thread(target=w.run, args=(server.client().database("kill"), stop)) for w in writers]
    for t in threads:
        t.start()
    time.sleep(rng.uniform(0.01, 0.35))  # the random time of the kill; nothing waits for a condition here
    server.process.kill()
    stop.set()
    for t in threads:
        t.join()
    server.kill()
    begin = time.monotonic()
    server.start()
    db = server.client().database("kill")
    check(db, writers, rng, problems)
    for w in writers:
        if w.error:
            problems.append(f"writer {w.number} got {w.error}")
            w.error = None
    return time.monotonic() - begin, db.status()["checkpointLsn"]


def campaign(args, folder):
    rng = random.Random(args.seed)
    writers = [Writer(i, args.seed * 1000 + i) for i in range(args.writers)]
    problems, restart = [], []  # restart: (seconds, checkpoint)
    server = Server(folder / "data", "--log-level", "warn", JADE_SEAL_MIB=str(args.seal_mib or 1), JADE_IDLE_CLOSE_SECONDS="60")
    server.start()
    try:
        server.client().create_database(
            "kill", DIM, metric="euclidean", durability="sync", index_parameters={"M": 8, "efConstruction": 40, "efSearch": 40}
        )
        for n in range(args.rounds):
            if args.seal_mib == 0:
                server.env["JADE_SEAL_MIB"] = "1" if n < args.rounds / 2 else "128"
            restart.append(one_round(server, writers, rng, problems))
            if problems:
                print(f"round {n + 1} (seed {args.seed}):", *problems[:20], sep="\n  ")
                break
            if args.verbose and (n + 1) % 20 == 0:
                print(f"  {n + 1} rounds, {sum(w.acknowledged for w in writers)} acknowledged", flush=True)
        if args.canary and not problems:
            w = next(w for w in writers if w.known)
            server.client().database("kill").delete(sorted(w.known)[0])
            check(server.client().database("kill"), writers, rng, problems)
    finally:
        if server.process is not None:
            server.kill()
        if problems and not args.canary and args.keep:
            shutil.copytree(folder, args.keep, dirs_exist_ok=True)
            print(f"data folder and log are in {args.keep}")
    return n + 1, writers, problems, restart


def main():
    p = argparse.ArgumentParser(description="kill -9 under load; every acknowledged write must be there")
    p.add_argument("--rounds", type=int, default=20)
    p.add_argument("--seed", type=int, default=20240107)
    p.add_argument("--writers", type=int, default=4)
    p.add_argument("--seal-mib", type=int, default=0, help="log size at which the server seals; 0: 1 in the first half of the rounds, then 128")
    p.add_argument("--canary", action="store_true", help="lose a write on purpose: the test must see it")
    p.add_argument("--keep", help="folder for data and log of a failure")
    p.add_argument("--verbose", action="store_true")
    args = p.parse_args()
    print(f"seed {args.seed}, {args.writers} writers")
    begin = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="jade-kill-"))
    try:
        rounds, writers, problems, restart = campaign(args, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    lost = sum(p.startswith("lost") for p in problems)
    half = len(problems) - lost
    print(f"rounds: {rounds}, acknowledged: {sum(w.acknowledged for w in writers)}, lost: {lost}, half: {half}")
    took = [t for t, _ in restart] or [0.0]
    moved = sum(a != b for (_, a), (_, b) in zip([(0, 0), *restart], restart))
    print(f"{time.monotonic() - begin:.1f} s in all; restart and comparison {sum(took) / len(took):.2f} s, at most {max(took):.2f} s; the checkpoint moved in {moved} rounds")
    if args.canary:
        return 0 if lost == 1 else 1
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
