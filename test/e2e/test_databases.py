"""Databases: create, list, get, update, delete; the envelope."""

import datetime
import json

import pytest
from jadedb import BadRequest, Conflict, NotFound, NotSupported


def test_a_created_database_is_answered_as_it_will_be(jade, make, name):
    db = make(8, metric="euclidean", index_type="hnsw", index_parameters={"M": 12, "efConstruction": 80, "efSearch": 40}, description="what it is")
    info = jade.get_database(name).info
    assert info["databaseId"] == db.id and info["name"] == name
    assert info["vectorDimension"] == 8 and info["metric"] == "euclidean"
    assert info["indexType"].upper() == "HNSW"
    assert info["indexParameters"] == {"M": 12, "efConstruction": 80, "efSearch": 40}
    assert info["description"] == "what it is"
    assert datetime.datetime.fromisoformat(info["created_at"].replace("Z", "+00:00"))
    assert jade.get_database(db.id).info == info


def test_defaults_are_cosine_and_hnsw(make):
    info = make(3).info
    assert info["metric"] == "cosine" and info["indexType"].upper() == "HNSW"
    assert info["indexParameters"]["M"] == 16 and info["indexParameters"]["efConstruction"] == 200


@pytest.mark.parametrize("word", ["HNSW", "hnsw", "Flat", "FLAT"])
def test_names_of_index_types_are_case_insensitive(make, word):
    assert make(3, index_type=word).info["indexType"].lower() == word.lower()


@pytest.mark.parametrize("word", ["cosine", "Euclidean", "DOT"])
def test_names_of_metrics_are_case_insensitive(make, word):
    assert make(3, metric=word).info["metric"] == word.lower()


def test_snake_case_twins_are_accepted_and_never_answered(jade, name):
    info = jade.request("POST", "/databases", {"name": name, "vector_dimension": 5, "index_type": "flat"})
    assert info["vectorDimension"] == 5 and "vector_dimension" not in info
    jade.delete_database(name)


def test_answers_carry_the_envelope(server, jade):
    status, headers, body = jade.raw("GET", "/api/v1/databases")
    answer = json.loads(body)
    assert status == 200 and headers["Content-Type"].startswith("application/json")
    assert answer["status"] == "success" and isinstance(answer["message"], str)
    stamp = datetime.datetime.fromisoformat(answer["timestamp"].replace("Z", "+00:00"))
    assert abs((datetime.datetime.now(datetime.timezone.utc) - stamp).total_seconds()) < 60
    assert answer["meta"]["tookMs"] >= 0 and answer["meta"]["requestId"]
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_errors_carry_the_envelope(jade):
    status, _, body = jade.raw("GET", "/api/v1/databases/none")
    answer = json.loads(body)
    assert status == 404 and answer["status"] == "error" and answer["data"] is None
    assert answer["error"]["code"] == "NOT_FOUND" and answer["error"]["retryable"] is False
    assert answer["error"]["category"] == "permanent"
    assert answer["timestamp"] and answer["message"]


def test_list_has_every_database(jade, make, name):
    for suffix in "abc":
        make(2, suffix=suffix)
    names = [d["name"] for d in jade.list_databases()]
    assert [n for n in names if n.startswith(name)] == [name + "a", name + "b", name + "c"]


def test_a_second_database_of_the_name_is_a_conflict(make, jade, name):
    make(3)
    with pytest.raises(Conflict) as e:
        jade.create_database(name, 5)
    assert e.value.code == "ALREADY_EXISTS"
    assert jade.get_database(name).info["vectorDimension"] == 3


def test_update_changes_what_may_change_and_keeps_the_data(make, jade, name):
    db = make(2, description="old")
    db.upsert("x", [1, 2])
    db.update({"description": "new", "indexParameters": {"M": 16, "efConstruction": 200, "efSearch": 123}})
    info = jade.get_database(name).info
    assert info["description"] == "new" and info["indexParameters"]["efSearch"] == 123
    assert db.get("x")["values"] == [1, 2]


@pytest.mark.parametrize("body, field", [({"vectorDimension": 9}, "vectorDimension"), ({"metric": "dot"}, "metric"), ({"name": "other"}, "name")])
def test_update_refuses_what_cannot_change(make, body, field):
    db = make(2)
    with pytest.raises(BadRequest) as e:
        db.update(body)
    assert e.value.status == 422 and field in e.value.fields


def test_a_deleted_database_is_gone_and_its_name_is_free(make, jade, name):
    db = make(2)
    db.upsert("x", [1, 2])
    db.drop()
    for call in (lambda: jade.get_database(name), lambda: db.get("x"), lambda: db.search([1, 2]), lambda: db.drop()):
        with pytest.raises(NotFound):
            call()
    again = make(3)
    assert again.id != db.id
    with pytest.raises(NotFound):
        again.get("x")


@pytest.mark.parametrize(
    "more, field",
    [
        ({"sharding": {"strategy": "hash", "numShards": 2}}, "sharding.numShards"),
        ({"replication": {"factor": 2, "sync": True}}, "replication.factor"),
        ({"embeddingModels": [{"name": "BERT", "version": "base-uncased", "provider": "huggingface", "inputType": "text"}]}, "embeddingModels"),
        ({"index_type": "ivf"}, "indexType"),
    ],
)
def test_what_this_build_cannot_honour_is_refused_by_name(jade, name, more, field):
    with pytest.raises(NotSupported) as e:
        jade.create_database(name, 3, **more)
    assert e.value.code == "NOT_SUPPORTED_YET"
    assert any(f.startswith(field) for f in e.value.fields)
    with pytest.raises(NotFound):
        jade.get_database(name)


def test_flat_and_hnsw_can_be_changed_into_each_other(make, jade):
    db = make(2, index_type="flat")
    db.upsert_many([{"id": str(i), "values": [i, 1]} for i in range(50)])
    answer = db.update({"indexType": "hnsw"})
    if answer.get("operationId"):
        jade.wait_job(answer["operationId"])
    assert jade.get_database(db.id).info["indexType"].upper() == "HNSW"
    assert db.search([1, 1], top_k=1)[0]["id"] == "1"


def test_the_one_index_is_listed_and_rebuilt_as_a_job(make, jade):
    db = make(2, index_parameters={"M": 8, "efConstruction": 50, "efSearch": 20})
    db.upsert_many([{"id": str(i), "values": [i, 1]} for i in range(50)])
    (index,) = db.indexes()
    assert index["type"].upper() == "HNSW" and index["databaseId"] == db.id and index["status"] == "ready"
    assert index["parameters"] == {"M": 8, "efConstruction": 50, "efSearch": 20}
    job = db.rebuild_index()
    done = jade.wait_job(job["operationId"])
    assert done["state"] == "succeeded" and done["progress"] == 1
    assert [h["id"] for h in db.search([3, 1], top_k=1)] == ["3"]
