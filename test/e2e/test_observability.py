"""Health, status, metrics, logs."""

import json
import re

import pytest
from jadedb import JadeError
from server import ADMIN_KEY, ROOT

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABELS = r'\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*\}'
SAMPLE = re.compile(rf"^({NAME})({LABELS})? (NaN|[+-]?Inf|[+-]?[0-9.eE+-]+)( [0-9]+)?$")
TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}


def parse_prometheus(text):
    """{(name, labels): value} of the text format 0.0.4; asserts its grammar."""
    assert text.endswith("\n")
    types, samples, closed, last = {}, {}, set(), None
    for line in text.splitlines():
        if not line:
            continue
        if line.startswith("#"):
            m = re.match(rf"^# (HELP|TYPE) ({NAME}) (.*)$", line)
            assert m, line
            if m.group(1) == "TYPE":
                assert m.group(3) in TYPES and m.group(2) not in types, line
                types[m.group(2)] = m.group(3)
            continue
        m = SAMPLE.match(line)
        assert m, line
        family = re.sub(r"_(bucket|sum|count)$", "", m.group(1)) if m.group(1) not in types else m.group(1)
        assert family in types, f"no TYPE before {line}"
        if family != last:
            assert family not in closed, f"the lines of {family} are not together"
            closed.add(family)
            last = family
        key = (m.group(1), m.group(2) or "")
        assert key not in samples, f"twice: {line}"
        samples[key] = float(m.group(3))
        if types[family] in ("counter", "histogram"):
            assert float(m.group(3)) >= 0
    check_histograms(types, samples)
    return samples


def check_histograms(types, samples):
    for family in (f for f, t in types.items() if t == "histogram"):
        series = {}
        for (name, labels), value in samples.items():
            if name == family + "_bucket":
                bound = re.search(r'le="([^"]+)"', labels).group(1)
                rest = re.sub(r'le="[^"]+",?', "", labels).replace(",}", "}")
                series.setdefault("" if rest == "{}" else rest, []).append((float(bound.replace("+Inf", "inf")), value))
        assert series, family
        for rest, buckets in series.items():
            counts = [v for _, v in sorted(buckets)]
            assert counts == sorted(counts) and sorted(buckets)[-1][0] == float("inf")
            assert samples[(family + "_count", rest)] == counts[-1]
            assert (family + "_sum", rest) in samples


def test_metrics_are_prometheus_text_and_count(make, jade):
    db = make(3)
    before = parse_prometheus(jade.metrics())
    db.upsert_many([{"id": str(i), "values": [i, 1, 2]} for i in range(10)])
    for _ in range(5):
        db.search([1, 2, 3])
    with pytest.raises(JadeError):
        db.search([1])
    after = parse_prometheus(jade.metrics())
    assert len(after) > 20

    def total(samples, *words):
        return sum(v for (n, labels), v in samples.items() if all(w in n + labels for w in words) and "_bucket" not in n and "_sum" not in n)

    grown = {k[0] for k in after if after[k] > before.get(k, 0)}
    assert any("request" in n for n in grown) and any("search" in n + str(k) for n in grown for k in after)
    assert total(after, "request") >= total(before, "request") + 7


def test_metrics_have_the_content_type_of_prometheus(jade):
    status, headers, _ = jade.raw("GET", "/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")


def test_status_tells_what_the_server_holds(make, jade):
    db = make(3)
    db.upsert_many([{"id": str(i), "values": [i, 1, 2]} for i in range(10)])
    s = jade.status()
    assert s["databases"] >= 1 and s["vectors"] >= 10 and s["state"] == "ok" and s["mode"] == "standalone"
    d = db.status()
    assert d["vectorCount"] == 10 and d["status"] == "open"
    for word in ("tailRows", "walBytes", "diskBytes", "memoryBytes"):
        assert isinstance(d[word], int) and d[word] >= 0, word


def test_logs_are_json_lines_without_keys(own_server):
    s = own_server("--log-level", "debug")
    jade = s.client()
    key = jade.create_key("k", "admin")["key"]
    db = s.client(key).create_database("a", 3)
    db.upsert("x", [1, 2, 3], {"secret": "not-for-the-log"})
    for bad in ("wrong-key-0123456789abcdef", ADMIN_KEY + "x"):
        with pytest.raises(JadeError):
            s.client(bad).status()
    with pytest.raises(JadeError):
        db.search([1])
    db.drop()
    assert s.stop() == 0
    lines = s.log_text().splitlines()
    assert len(lines) >= 2
    for line in lines:
        entry = json.loads(line)
        assert {"ts", "level", "msg"} <= set(entry) or {"time", "level", "message"} <= set(entry), entry
        assert entry["level"].upper() in ("DEBUG", "INFO", "WARN", "ERROR")
    for secret in (ADMIN_KEY, key, key[5:], "wrong-key-0123456789abcdef", "not-for-the-log"):
        assert secret not in s.log_text()
    assert ADMIN_KEY not in "".join(s.output) and key not in "".join(s.output)


FAILURE = {"code", "category", "field", "error", "origin", "status", "method", "path", "requestId", "key"}


def failures(s):
    return [e for e in map(json.loads, s.log_text().splitlines()) if e["msg"] == "request failed"]


def test_every_failure_is_logged_once_with_code_category_and_origin(own_server):
    s = own_server("--log-level", "debug")
    jade = s.client()
    db = jade.create_database("a", 3)
    ids = []
    for path, body, headers in (
        ("/api/v1/databases/a/search", {"queryVector": [1]}, {}),
        ("/api/v1/databases/a/search", {"queryVector": [1, 2, 3], "topK": -1}, {}),
        ("/api/v1/databases/none/search", {"queryVector": [1, 2, 3]}, {}),
        ("/api/v1/databases/a/search", {"queryVector": [1, 2, 3]}, {"Idempotency-Key": "x"}),
    ):
        status, _, answer = jade.raw("POST", path, json.dumps(body).encode(), headers={"Content-Type": "application/json", **headers})
        assert status >= 400
        ids.append((json.loads(answer)["meta"]["requestId"], status))
    db.search([1, 2, 3])
    assert s.stop() == 0
    told = failures(s)
    assert [(e["requestId"], e["status"]) for e in told] == ids
    assert [(e["code"], e["category"], e["field"], e["level"].lower()) for e in told] == [
        ("DIMENSION_MISMATCH", "permanent", "queryVector", "debug"),
        ("INVALID_ARGUMENT", "permanent", "topK", "debug"),
        ("NOT_FOUND", "permanent", told[2]["field"], "debug"),
        ("NOT_SUPPORTED_YET", "permanent", "Idempotency-Key", "error"),
    ]
    for e in told:
        assert FAILURE <= set(e)
        file, line = e["origin"].split(":")
        around = (ROOT / "src" / file).read_text().splitlines()[max(0, int(line) - 4) : int(line)]
        assert "jade_fail" in "".join(around), e["origin"]
        assert e["error"] and e["path"].startswith("/api/v1/databases/")


def test_failures_below_500_are_silent_unless_asked_for(own_server):
    s = own_server("--log-level", "info")
    with pytest.raises(JadeError):
        s.client().create_database("a", 3).search([1])
    assert s.stop() == 0
    assert failures(s) == []


def test_log_level_off_writes_nothing(own_server):
    s = own_server("--log-level", "off")
    s.client().create_database("a", 3)
    assert s.stop() == 0
    assert s.log_text() == ""


def test_every_answer_names_its_request(jade):
    ids = {jade.envelope("GET", "/databases")["meta"]["requestId"] for _ in range(5)}
    assert len(ids) == 5


def test_security_headers_are_on_every_answer(server, jade):
    for path in ("/api/v1/databases", "/api/v1/none", "/metrics", "/api/v1/health"):
        _, headers, _ = jade.raw("GET", path)
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert headers["Cache-Control"] == "no-store", path
