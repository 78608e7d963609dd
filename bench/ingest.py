#!/usr/bin/python3
"""
A4 and A5: ingest through REST and restart, measured on a real server; one JSON file into bench/results/.

    bench/ingest.py --vectors 300000                    ingest at sync, searches beside it, tail over time, time until fully indexed
    bench/ingest.py --vectors 1000000 --restart         and then: clean stop -> first answer, kill -9 with 64 MiB of log -> first answer

The client (ingest_client.c) is compiled with cc. Server and client share the processors that --cpus names (default: 2).
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test" / "support"))

from server import ADMIN_KEY, Server  # noqa: E402


def build_client():
    out = ROOT / "build" / "bench" / "ingest_client"
    source = ROOT / "bench" / "ingest_client.c"
    if not out.exists() or out.stat().st_mtime < source.stat().st_mtime:
        out.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-pthread", str(source), "-o", str(out), "-lm"], check=True)
    return out


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def rss_bytes(pid):
    """Resident memory, and of it what no file backs."""
    out = {}
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(("VmRSS", "RssAnon", "VmHWM")):
            out[line.split(":")[0]] = int(line.split()[1]) * 1024
    return out


class Watch(threading.Thread):
    """The database's status, once a second: [seconds, vectors, tail rows, resident bytes]."""

    def __init__(self, server, db):
        super().__init__(daemon=True)
        self.server, self.db = server, db
        self.samples = []
        self.ended = threading.Event()
        self.begin = time.monotonic()

    def run(self):
        while True:
            s = self.db.status()
            self.samples.append([round(time.monotonic() - self.begin, 2), s["vectorCount"], s["tailRows"], rss_bytes(self.server.process.pid)["VmRSS"]])
            if self.ended.wait(1.0):
                return


def client_command(args, server, db, first, vectors, search_every_ms):
    return [
        str(build_client()),
        *("--port", server.url.rsplit(":", 1)[1]),
        *("--key", ADMIN_KEY),
        *("--database", db.id),
        *("--vectors", str(vectors)),
        *("--first", str(first)),
        *("--dim", str(args.dim)),
        *("--batch", str(args.batch)),
        *("--connections", str(args.connections)),
        *("--durability", args.durability),
        *("--search-every-ms", str(search_every_ms)),
    ]


def ingest(args, server, db):
    watch = Watch(server, db)
    watch.start()
    begin = time.monotonic()
    out = subprocess.run(client_command(args, server, db, 0, args.vectors, args.search_every_ms), capture_output=True, text=True)
    if out.returncode != 0:
        raise SystemExit(f"{out.stderr}\n{server.log_text()[-3000:]}")
    result = json.loads(out.stdout)
    status = db.status()
    if status["vectorCount"] != args.vectors:
        raise SystemExit(f"{status['vectorCount']} vectors are there, {args.vectors} were acknowledged")
    result["tailAtEnd"] = status["tailRows"]
    db.wait_indexed(3600)
    result["secondsToIndexed"] = round(time.monotonic() - begin, 3)
    result["indexedPerSecond"] = round(args.vectors / result["secondsToIndexed"], 1)
    watch.ended.set()
    watch.join()
    result["status"] = watch.samples
    result["tailMax"] = max(s[2] for s in watch.samples)
    result["memory"] = rss_bytes(server.process.pid)
    result["memoryPerVector"] = round(result["memory"]["VmRSS"] / args.vectors, 1)
    result["databaseStatus"] = db.status()
    if args.restart:
        result["secondsToSealed"] = wait_sealed(db, begin, args.seal_seconds)
        result["databaseStatusSealed"] = db.status()
        result["memorySealed"] = rss_bytes(server.process.pid)
    return result


def wait_sealed(db, begin, limit):
    """Seconds from the start of the ingest until segment files hold what is beyond one log of the default size; None when the limit came first."""
    while time.monotonic() - begin < limit:
        status = db.status()
        if status["sealedSegments"] > 0 and status["walBytes"] < 256 << 20:
            return round(time.monotonic() - begin, 3)
        time.sleep(0.5)
    return None


def first_answer(server, db_id, dim, begin):
    """Starts the server and searches once; (seconds to listening, seconds to the first answer)."""
    server.start()
    hits = server.client(timeout=120).database(db_id).search([0.5] * dim, top_k=10)
    if len(hits) != 10:
        raise SystemExit(f"{len(hits)} hits after the restart")
    return round(server.started_s, 3), round(time.monotonic() - begin, 3)


def drop_cache():
    """Empties the page cache when we may: the files then come from the disk."""
    try:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")
        return True
    except OSError:
        return False


def restart(args, server, db_id):
    """A5."""
    result = {}
    begin = time.monotonic()
    if server.stop(60) != 0:
        raise SystemExit("the server did not stop in order")
    result["stopSeconds"] = round(time.monotonic() - begin, 3)
    for cache in ("warm", "cold"):
        if cache == "cold":
            server.stop(60)
            if not drop_cache():
                continue
        result[f"clean_{cache}"] = dict(zip(("listeningSeconds", "firstAnswerSeconds"), first_answer(server, db_id, args.dim, time.monotonic())))
    # A log of 64 MiB that no checkpoint covers: vectors of 4 * dim bytes until the status says so.
    db = server.client().database(db_id)
    first = args.vectors
    while db.status()["walBytes"] < args.wal_mib << 20:
        n = max(args.batch, int(((args.wal_mib << 20) - db.status()["walBytes"]) / (4 * args.dim + 40)) + 1)
        subprocess.run(client_command(args, server, db, first, n, 0), check=True, stdout=subprocess.DEVNULL)
        first += n
    result["walBytes"] = db.status()["walBytes"]
    expected = db.status()["vectorCount"]
    server.kill()
    result["killed"] = dict(zip(("listeningSeconds", "firstAnswerSeconds"), first_answer(server, db_id, args.dim, time.monotonic())))
    status = server.client().database(db_id).status()
    if status["vectorCount"] != expected:
        raise SystemExit(f"{status['vectorCount']} vectors after the kill, {expected} before")
    result["vectorsAfterKill"] = expected
    return result


def show(result):
    i = result["ingest"]
    print(f"acknowledged {i['vectors']} x {i['dim']} at {i['durability']}: {i['vectorsPerSecond']:.0f} vectors/s ({i['seconds_total']:.1f} s)")
    print(f"fully indexed after {i['secondsToIndexed']:.1f} s: {i['indexedPerSecond']:.0f} vectors/s; longest tail {i['tailMax']} rows")
    print(f"longest pause between acknowledgements {i['longestPauseMs']:.0f} ms; batch p50 {i['batchMs']['p50']:.1f}, p99 {i['batchMs']['p99']:.1f}, max {i['batchMs']['max']:.0f} ms")
    print(f"searches beside it: {i['searchMs']['n']}, p50 {i['searchMs']['p50']:.2f}, p99 {i['searchMs']['p99']:.2f}, max {i['searchMs']['max']:.1f} ms")
    n = max(1, len(i["seconds"]) // 12)
    for s in i["seconds"][::n]:
        tail = min(i["status"], key=lambda x: abs(x[0] - s[0]))
        print(f"  second {s[0]:4}: {s[1]:6} acknowledged, tail {tail[2]:7}, search p50 {s[3]:.2f}, p99 {s[4]:.2f} ms")
    if "secondsToSealed" in i:
        d = i["databaseStatusSealed"]
        print(f"in segment files after {i['secondsToSealed']} s: {d['sealedSegments']} of {d['segments']} segments sealed, log {d['walBytes'] / 2**20:.0f} MiB")
    print(f"memory: {i['memory']['VmRSS'] / 2**20:.0f} MiB resident, {i['memoryPerVector']:.0f} bytes a vector")
    if "restart" in result:
        for name, r in result["restart"].items():
            print(f"restart {name}: {r}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--vectors", type=int, default=300000)
    p.add_argument("--dim", type=int, default=128)
    p.add_argument("--batch", type=int, default=500)
    p.add_argument("--connections", type=int, default=2)
    p.add_argument("--durability", default="sync")
    p.add_argument("--metric", default="euclidean")
    p.add_argument("--search-every-ms", type=int, default=20)
    p.add_argument("--cpus", type=int, default=2, help="processors for server and client together")
    p.add_argument("--restart", action="store_true", help="measure restarts of the filled database too")
    p.add_argument("--seal-seconds", type=int, default=600, help="how long to wait for segment files before the restart, from the start")
    p.add_argument("--wal-mib", type=int, default=64, help="log to replay after the kill")
    p.add_argument("--folder", help="where to make the data folder (default: the system's folder for temporary files)")
    p.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="further settings of the server")
    args = p.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.cpus])
    build_client()
    folder = Path(tempfile.mkdtemp(prefix="jade-ingest-", dir=args.folder))
    server = Server(folder / "data", "--log-level", "warn", **dict(e.split("=", 1) for e in args.env))
    try:
        server.start()
        db = server.client(timeout=600).create_database(
            "ingest", args.dim, metric=args.metric, index_type="hnsw", index_parameters={"M": 16, "efConstruction": 200, "efSearch": 100}
        )
        result = {"processor": processor(), "cpus": args.cpus, "ingest": ingest(args, server, db)}
        if args.restart:
            result["restart"] = restart(args, server, db.id)
        show(result)
        out = ROOT / "bench" / "results" / f"ingest-{args.vectors}x{args.dim}.json"
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=1) + "\n")
        print(f"written: {out}")
    finally:
        if server.process is not None:
            server.kill()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
