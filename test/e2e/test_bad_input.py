"""A6: a table of bad requests. Each is answered with its status, code and field, and changes nothing; the server goes on."""

import json
import socket

import pytest
from server import ADMIN_KEY

DB = "/api/v1/databases/{db}"
DEEP = "{" + '"a":{' * 40 + '"b":1' + "}" * 41


def row(values="[1,2,3]", **more):
    """A vector's JSON with the values as written, so that what no JSON library writes can be sent."""
    rest = "".join(f',"{k}":{v}' for k, v in more.items())
    return f'{{"id":"new","values":{values}{rest}}}'


def batch(*rows):
    return '{"vectors":[' + ",".join(rows) + "]}"


def search(**more):
    fields = {"queryVector": "[1,2,3]"}
    fields.update(more)
    return "{" + ",".join(f'"{k}":{v}' for k, v in fields.items()) + "}"


# name: (method, path, body, status, codes, part of a field's name)
TABLE = {
    "too few dimensions": ("POST", "/vectors", row("[1,2]"), 400, "DIMENSION_MISMATCH", "values"),
    "too many dimensions": ("POST", "/vectors", row("[1,2,3,4]"), 400, "DIMENSION_MISMATCH", "values"),
    "no values at all": ("POST", "/vectors", row("[]"), 400, "DIMENSION_MISMATCH", "values"),
    "NaN": ("POST", "/vectors", row("[1,NaN,3]"), 400, "INVALID_JSON", ""),
    "infinity as a word": ("POST", "/vectors", row("[1,Infinity,3]"), 400, "INVALID_JSON", ""),
    "infinity as an overflow of double": ("POST", "/vectors", row("[1,1e999,3]"), 400, "INVALID_JSON INVALID_ARGUMENT", ""),
    "infinity as an overflow of float": ("POST", "/vectors", row("[1,1e39,3]"), 400, "INVALID_ARGUMENT", "values"),
    "null in values": ("POST", "/vectors", row("[1,null,3]"), 400, "INVALID_ARGUMENT", "values"),
    "strings in values": ("POST", "/vectors", row('[1,"2",3]'), 400, "INVALID_ARGUMENT", "values"),
    "bools in values": ("POST", "/vectors", row("[1,true,3]"), 400, "INVALID_ARGUMENT", "values"),
    "lists in values": ("POST", "/vectors", row("[1,[2],3]"), 400, "INVALID_ARGUMENT", "values"),
    "values is a string": ("POST", "/vectors", row('"1,2,3"'), 400, "INVALID_ARGUMENT", "values"),
    "values is missing": ("POST", "/vectors", '{"id":"new"}', 400, "INVALID_ARGUMENT", "values"),
    "the zero vector under cosine": ("POST", "/vectors", row("[0,0,0]"), 400, "INVALID_ARGUMENT", "values"),
    "empty body": ("POST", "/vectors", "", 400, "INVALID_JSON INVALID_ARGUMENT", ""),
    "blank body": ("POST", "/vectors", "  \n", 400, "INVALID_JSON", ""),
    "broken JSON": ("POST", "/vectors", '{"id":"new","values":[1,2,3', 400, "INVALID_JSON", ""),
    "JSON and more": ("POST", "/vectors", row() + "x", 400, "INVALID_JSON", ""),
    "two JSON documents": ("POST", "/vectors", row() + row(), 400, "INVALID_JSON", ""),
    "trailing comma": ("POST", "/vectors", row("[1,2,3,]"), 400, "INVALID_JSON", ""),
    "not UTF-8": ("POST", "/vectors", b'{"id":"\xff\xfe","values":[1,2,3]}', 400, "INVALID_JSON", ""),
    "a list for an object": ("POST", "/vectors", "[1,2,3]", 400, "INVALID_ARGUMENT", ""),
    "a number for an object": ("POST", "/vectors", "7", 400, "INVALID_ARGUMENT INVALID_JSON", ""),
    "unknown field": ("POST", "/vectors", row(valeus="[1]"), 400, "UNKNOWN_FIELD", "valeus"),
    "a field twice": ("POST", "/vectors", row()[:-1] + ',"values":[4,5,6]}', 400, "INVALID_ARGUMENT", "values"),
    "id is too long": ("POST", "/vectors", '{"id":"' + "x" * 513 + '","values":[1,2,3]}', 400, "INVALID_ARGUMENT", "id"),
    "id is empty": ("POST", "/vectors", '{"id":"","values":[1,2,3]}', 400, "INVALID_ARGUMENT", "id"),
    "id is an object": ("POST", "/vectors", '{"id":{},"values":[1,2,3]}', 400, "INVALID_ARGUMENT", "id"),
    "metadata is too deep": ("POST", "/vectors", row(metadata=DEEP), 400, "INVALID_ARGUMENT INVALID_JSON", "metadata"),
    "metadata is far too deep": ("POST", "/vectors", row(metadata="[" * 5000 + "]" * 5000), 400, "INVALID_ARGUMENT INVALID_JSON", ""),
    "metadata is a list": ("POST", "/vectors", row(metadata="[1]"), 400, "INVALID_ARGUMENT", "metadata"),
    "metadata is a string": ("POST", "/vectors", row(metadata='"a"'), 400, "INVALID_ARGUMENT", "metadata"),
    "metadata is too large": ("POST", "/vectors", row(metadata='{"a":"' + "x" * 70000 + '"}'), 400, "INVALID_ARGUMENT", "metadata"),
    "unknown conflict mode": ("POST", "/vectors", row(onConflict='"maybe"'), 400, "INVALID_ARGUMENT", "onConflict"),
    "unknown durability": ("POST", "/vectors?durability=perhaps", row(), 400, "INVALID_ARGUMENT", "durability"),
    "unknown query parameter": ("POST", "/vectors?colour=red", row(), 400, "UNKNOWN_FIELD", "colour"),
    "batch: duplicate id": ("POST", "/vectors/batch", batch(row(), row("[4,5,6]")), 400, "DUPLICATE_ID", "vectors[1].id"),
    "batch: wrong dimension": ("POST", "/vectors/batch", batch(row(), '{"id":"b","values":[1]}'), 400, "DIMENSION_MISMATCH", "vectors[1].values"),
    "batch: strings in values": ("POST", "/vectors/batch", batch(row(), '{"id":"b","values":["a","b","c"]}'), 400, "INVALID_ARGUMENT", "vectors[1].values"),
    "batch: unknown field of a row": ("POST", "/vectors/batch", batch(row(x="1")), 400, "UNKNOWN_FIELD", "vectors[0].x"),
    "batch: a row is a number": ("POST", "/vectors/batch", batch("1"), 400, "INVALID_ARGUMENT", "vectors[0]"),
    "batch: empty list": ("POST", "/vectors/batch", batch(), 400, "INVALID_ARGUMENT", "vectors"),
    "batch: no list": ("POST", "/vectors/batch", "{}", 400, "INVALID_ARGUMENT", "vectors"),
    "put: wrong dimension": ("PUT", "/vectors/kept", '{"values":[1]}', 400, "DIMENSION_MISMATCH", "values"),
    "put: another id in the body": ("PUT", "/vectors/kept", '{"id":"other","values":[1,2,3]}', 400, "INVALID_ARGUMENT", "id"),
    "put: id too long in the path": ("PUT", "/vectors/" + "x" * 513, '{"values":[1,2,3]}', 400, "INVALID_ARGUMENT", "vectorId"),
    "path that is not percent-encoded correctly": ("GET", "/vectors/%zz", None, 400, "INVALID_ARGUMENT", "vectorId"),
    "search: topK 0": ("POST", "/search", search(topK="0"), 400, "INVALID_ARGUMENT", "topK"),
    "search: topK 10^9": ("POST", "/search", search(topK="1000000000"), 400, "INVALID_ARGUMENT", "topK"),
    "search: topK -1": ("POST", "/search", search(topK="-1"), 400, "INVALID_ARGUMENT", "topK"),
    "search: topK 1.5": ("POST", "/search", search(topK="1.5"), 400, "INVALID_ARGUMENT", "topK"),
    "search: topK a string": ("POST", "/search", search(topK='"ten"'), 400, "INVALID_ARGUMENT", "topK"),
    "search: wrong dimension": ("POST", "/search", search(queryVector="[1]"), 400, "DIMENSION_MISMATCH", "queryVector"),
    "search: no query": ("POST", "/search", "{}", 400, "INVALID_ARGUMENT", "queryVector"),
    "search: infinite query": ("POST", "/search", search(queryVector="[1,1e39,1]"), 400, "INVALID_ARGUMENT", "queryVector"),
    "search: unknown operator": ("POST", "/search", search(filters='{"a":{"$gtt":1}}'), 400, "INVALID_FILTER", "$gtt"),
    "search: filter of the wrong type": ("POST", "/search", search(filters="5"), 400, "INVALID_FILTER INVALID_ARGUMENT", "filter"),
    "search: filter twice": ("POST", "/search", search(filters='{"a":1}', filter='{"a":2}'), 400, "INVALID_ARGUMENT", "filter"),
    "search: threshold a string": ("POST", "/search", search(threshold='"high"'), 400, "INVALID_ARGUMENT", "threshold"),
    "search: unknown field": ("POST", "/search", search(topk="1"), 400, "UNKNOWN_FIELD", "topk"),
    "search: another database in the body": ("POST", "/search", search(databaseId='"db_001"'), 404, "NOT_FOUND", "databaseId"),
    "search: unknown model": ("POST", "/search", search(embeddingModel='"BERT"'), 501, "NOT_SUPPORTED_YET", "embeddingModel"),
    "search: unknown index": ("POST", "/search", search(index='"IVF"'), 501, "NOT_SUPPORTED_YET", "index"),
    "update: index parameters out of range": ("PUT", "", '{"indexParameters":{"M":1}}', 400, "INVALID_ARGUMENT", "indexParameters.M"),
    "update: unknown field": ("PUT", "", '{"colour":"red"}', 400, "UNKNOWN_FIELD", "colour"),
    "no such path": ("GET", "/nothing", None, 404, "NOT_FOUND", ""),
    "no such method": ("PATCH", "/vectors/kept", "{}", 405, "METHOD_NOT_ALLOWED", ""),
}

CREATE = {
    "no name": ('{"vectorDimension":3}', 400, "INVALID_ARGUMENT", "name"),
    "empty name": ('{"name":"","vectorDimension":3}', 400, "INVALID_ARGUMENT", "name"),
    "name with a slash": ('{"name":"a/b","vectorDimension":3}', 400, "INVALID_ARGUMENT", "name"),
    "name that climbs": ('{"name":"../x","vectorDimension":3}', 400, "INVALID_ARGUMENT", "name"),
    "name too long": ('{"name":"' + "x" * 129 + '","vectorDimension":3}', 400, "INVALID_ARGUMENT", "name"),
    "no dimension": ('{"name":"bad"}', 400, "INVALID_ARGUMENT", "vectorDimension"),
    "dimension 0": ('{"name":"bad","vectorDimension":0}', 400, "INVALID_ARGUMENT", "vectorDimension"),
    "dimension 16385": ('{"name":"bad","vectorDimension":16385}', 400, "INVALID_ARGUMENT", "vectorDimension"),
    "dimension a string": ('{"name":"bad","vectorDimension":"3"}', 400, "INVALID_ARGUMENT", "vectorDimension"),
    "unknown metric": ('{"name":"bad","vectorDimension":3,"metric":"manhattan"}', 400, "INVALID_ARGUMENT", "metric"),
    "M of 1": ('{"name":"bad","vectorDimension":3,"indexParameters":{"M":1}}', 400, "INVALID_ARGUMENT", "indexParameters.M"),
    "unknown index parameter": ('{"name":"bad","vectorDimension":3,"indexParameters":{"m_":1}}', 400, "UNKNOWN_FIELD", "indexParameters.m_"),
    "unknown field": ('{"name":"bad","vectorDimension":3,"dims":3}', 400, "UNKNOWN_FIELD", "dims"),
    "unknown durability": ('{"name":"bad","vectorDimension":3,"durability":"x"}', 400, "INVALID_ARGUMENT", "durability"),
}


@pytest.fixture(scope="module")
def db(jade):
    d = jade.create_database("bad-input", 3)
    d.upsert("kept", [1, 2, 3], {"a": 1})
    yield d
    d.drop()


def check(answer, status, codes, field):
    got, _, body = answer
    parsed = json.loads(body)
    assert got == status, parsed
    assert parsed["status"] == "error" and parsed["data"] is None and parsed["message"]
    error = parsed["error"]
    assert error["code"] in codes.split(), parsed
    assert error["retryable"] is False and error["category"]
    if field:
        assert any(field in d["field"] and d["reason"] for d in error["details"]), parsed


@pytest.mark.parametrize("what", TABLE)
def test_bad_requests_are_refused_and_change_nothing(jade, db, what):
    method, path, body, status, codes, field = TABLE[what]
    raw = body.encode() if isinstance(body, str) else body
    check(jade.raw(method, DB.format(db=db.id) + path, raw), status, codes, field)
    assert db.status()["vectorCount"] == 1
    kept = db.get("kept")
    assert kept["values"] == [1, 2, 3] and kept["metadata"] == {"a": 1} and kept["version"] == 1


@pytest.mark.parametrize("what", CREATE)
def test_bad_databases_are_refused_and_not_made(jade, what):
    body, status, codes, field = CREATE[what]
    before = [d["databaseId"] for d in jade.list_databases()]
    check(jade.raw("POST", "/api/v1/databases", body.encode()), status, codes, field)
    assert [d["databaseId"] for d in jade.list_databases()] == before


def test_a_body_of_100_mb_is_refused_with_413(server, jade, db):
    """Whatever the server does with the bytes, the client gets the 413 and the server stays."""
    port = int(server.url.rsplit(":", 1)[1])
    size = 100 * 1024 * 1024
    head = (
        f"POST /api/v1/databases/{db.id}/vectors HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=60) as c:
        c.sendall(head.encode())
        chunk = b" " * (1 << 20)
        try:
            for _ in range(size >> 20):
                c.sendall(chunk)
        except OSError:
            pass  # answered and closed before the end: allowed
        answer = b""
        try:
            while b"\r\n\r\n" not in answer or b"PAYLOAD_TOO_LARGE" not in answer:
                got = c.recv(65536)
                if not got:
                    break
                answer += got
        except ConnectionResetError:
            pass
    assert answer.startswith(b"HTTP/1.1 413"), answer[:200]
    assert b"PAYLOAD_TOO_LARGE" in answer
    assert db.status()["vectorCount"] == 1


def test_a_batch_over_the_log_record_limit_is_refused_with_413(own_server):
    s = own_server(JADE_MAX_BODY_BYTES=str(256 << 20))
    db = s.client().create_database("large", 16000)
    row = "0.5," * 15999 + "0.5"
    body = '{"vectors":[' + ",".join(f'{{"id":"{i}","values":[{row}]}}' for i in range(1100)) + "]}"
    status, _, answer = s.client().raw("POST", f"/api/v1/databases/{db.id}/vectors/batch", body.encode())
    assert status == 413 and b"PAYLOAD_TOO_LARGE" in answer
    assert db.status()["vectorCount"] == 0


def test_a_wrong_content_type_is_refused_with_415(jade, db):
    path = DB.format(db=db.id) + "/vectors"
    check(jade.raw("POST", path, row().encode(), {"Content-Type": "text/xml"}), 415, "UNSUPPORTED_MEDIA_TYPE", "")
    assert db.status()["vectorCount"] == 1


@pytest.mark.parametrize(
    "text",
    [b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /api/v1/health HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"\0" * 1000, b"GET /" + b"a" * 100000],
)
def test_what_is_not_http_does_not_stop_the_server(server, jade, text):
    port = int(server.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as c:
        try:
            c.sendall(text)
            c.shutdown(socket.SHUT_WR)
            while c.recv(65536):
                pass
        except OSError:
            pass
    assert jade.health()
