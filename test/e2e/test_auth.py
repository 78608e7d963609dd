"""API keys and their scopes."""

import json

import pytest
from jadedb import BadRequest, Client, Conflict, Forbidden, NotFound, Unauthorized
from server import ADMIN_KEY


@pytest.fixture
def keyed(server, jade):
    """Makes a client of a scope; its key is deleted at the end."""
    made = []

    def client(scope):
        key = jade.create_key(f"test {scope}", scope)
        made.append(key)
        return server.client(key["key"])

    client.made = made
    yield client
    for key in made:
        try:
            jade.delete_key(key["keyId"])
        except NotFound:
            pass


READS = [
    ("GET", "/status", None),
    ("GET", "/databases", None),
    ("GET", "/databases/{db}", None),
    ("GET", "/databases/{db}/status", None),
    ("GET", "/databases/{db}/vectors/x", None),
    ("POST", "/databases/{db}/search", {"queryVector": [1, 2]}),
    ("POST", "/databases/{db}/search/advanced", {"queryVector": [1, 2]}),
    ("GET", "/databases/{db}/indexes", None),
    ("GET", "/operations", None),
    ("GET", "/models", None),
    ("POST", "/embeddings", {"input": ["a"]}),
]
WRITES = [
    ("POST", "/databases/{db}/vectors", {"id": "y", "values": [1, 2]}),
    ("POST", "/databases/{db}/vectors/batch", {"vectors": [{"id": "y", "values": [1, 2]}]}),
    ("PUT", "/databases/{db}/vectors/x", {"values": [9, 9]}),
    ("DELETE", "/databases/{db}/vectors/x", None),
]
ADMIN = [
    ("POST", "/databases", {"name": "forbidden", "vectorDimension": 2}),
    ("PUT", "/databases/{db}", {"description": "changed"}),
    ("DELETE", "/databases/{db}", None),
    ("POST", "/keys", {"name": "more", "scope": "admin"}),
    ("GET", "/keys", None),
    ("DELETE", "/keys/none", None),
]
EVERYTHING = READS + WRITES + ADMIN


def names(rows):
    return [f"{m} {p}" for m, p, _ in rows]


@pytest.fixture
def db(make):
    d = make(2)
    d.upsert("x", [1, 2])
    return d


def unchanged(jade, db):
    assert db.get("x")["values"] == [1, 2]
    assert db.status()["vectorCount"] == 1
    assert jade.get_database(db.id).info.get("description", "") == ""
    assert "forbidden" not in [d["name"] for d in jade.list_databases()]


@pytest.mark.parametrize("method, path, body", EVERYTHING, ids=names(EVERYTHING))
def test_without_a_key_nothing_is_answered(server, jade, db, method, path, body):
    for key in ("", "wrong", "jade_" + "A" * 43, ADMIN_KEY[:-1], ADMIN_KEY + "x"):
        with pytest.raises(Unauthorized) as e:
            server.client(key).request(method, path.format(db=db.id), body)
        assert e.value.code == "UNAUTHORIZED"
        assert key == "" or key not in str(e.value)
    unchanged(jade, db)


def test_health_needs_no_key(server):
    assert server.client("").health()


@pytest.mark.parametrize("method, path, body", READS, ids=names(READS))
def test_a_read_only_key_may_read(keyed, db, method, path, body):
    assert keyed("read-only").request(method, path.format(db=db.id), body) is not None


@pytest.mark.parametrize("method, path, body", WRITES + ADMIN, ids=names(WRITES + ADMIN))
def test_a_read_only_key_writes_nothing(keyed, jade, db, method, path, body):
    with pytest.raises(Forbidden) as e:
        keyed("read-only").request(method, path.format(db=db.id), body)
    assert e.value.code == "FORBIDDEN" and ("read-write" in str(e.value) or "admin" in str(e.value))
    unchanged(jade, db)


@pytest.mark.parametrize("method, path, body", WRITES, ids=names(WRITES))
def test_a_read_write_key_writes(keyed, db, method, path, body):
    keyed("read-write").request(method, path.format(db=db.id), body)


@pytest.mark.parametrize("method, path, body", ADMIN, ids=names(ADMIN))
def test_a_read_write_key_administers_nothing(keyed, jade, db, method, path, body):
    with pytest.raises(Forbidden) as e:
        keyed("read-write").request(method, path.format(db=db.id), body)
    assert "admin" in str(e.value)
    unchanged(jade, db)


def test_a_key_works_in_either_header(server, keyed):
    keyed("read-only")
    key = keyed.made[0]["key"]
    anonymous = server.client("")
    assert anonymous.raw("GET", "/api/v1/status", headers={"X-API-Key": key})[0] == 200
    assert anonymous.raw("GET", "/api/v1/status", headers={"Authorization": f"Bearer {key}"})[0] == 200
    assert anonymous.raw("GET", "/api/v1/status", headers={"Authorization": f"bearer {key}"})[0] == 200
    assert anonymous.raw("GET", "/api/v1/status", headers={"Authorization": f"Basic {key}"})[0] == 401


def test_a_deleted_key_works_no_more(jade, keyed):
    c = keyed("read-write")
    assert c.status()
    jade.delete_key(keyed.made[0]["keyId"])
    with pytest.raises(Unauthorized):
        c.status()


def test_the_list_of_keys_shows_no_secret(jade, keyed):
    keyed("admin")
    made = keyed.made[0]
    status, _, body = jade.raw("GET", "/api/v1/keys")
    assert status == 200 and made["keyId"] in body.decode()
    assert made["key"] not in body.decode() and ADMIN_KEY not in body.decode()
    (listed,) = [k for k in json.loads(body)["data"]["keys"] if k["keyId"] == made["keyId"]]
    assert listed["scope"] == "admin" and listed["name"] == "test admin"


def test_the_last_admin_key_cannot_be_deleted(own_server):
    s = own_server()
    c = s.client()
    (only,) = c.keys()
    with pytest.raises(Conflict):
        c.delete_key(only["keyId"])
    assert c.status()


@pytest.mark.parametrize("body, field", [({"name": "a", "scope": "god"}, "scope"), ({"name": "", "scope": "admin"}, "name"), ({"name": "a"}, "scope")])
def test_wrong_keys_are_refused(jade, body, field):
    with pytest.raises(BadRequest) as e:
        jade.request("POST", "/keys", body)
    assert field in e.value.fields


def test_keys_live_through_a_restart(own_server):
    s = own_server()
    key = s.client().create_key("kept", "read-only")["key"]
    s.stop()
    s.start()
    with pytest.raises(Forbidden):
        s.client(key).create_database("a", 2)
    assert Client(s.url, key).list_databases() == []
