"""Vectors: store, read, replace, delete, batches."""

import numpy
import pytest
from jadedb import BadRequest, Conflict, NotFound


def test_what_is_stored_comes_back_exactly(make):
    db = make(3)
    values = numpy.array([1e-30, -3.4e38, 0.1], dtype=numpy.float32)
    metadata = {"a": 1, "b": [1, "x", None, True], "c": {"d": {"e": -0.5}}, "ü": "日本\n\"\\"}
    db.upsert("id one", [float(v) for v in values], metadata)
    got = db.get("id one")
    assert numpy.array_equal(numpy.array(got["values"], dtype=numpy.float32), values)
    assert got["metadata"] == metadata and got["id"] == "id one" and got["version"] == 1


@pytest.mark.parametrize("vector_id", ["a", "x" * 512, "sp ace", "slash/and?query#%41", "ünïcödé-日本", "..", "batch", "quote\"'"])
def test_ids_may_be_any_text(make, vector_id):
    db = make(2)
    db.upsert(vector_id, [1, 2])
    assert db.get(vector_id)["id"] == vector_id
    assert db.search([1, 2], top_k=1)[0]["id"] == vector_id
    db.delete(vector_id)
    with pytest.raises(NotFound):
        db.get(vector_id)


def test_an_id_is_made_when_none_is_given(make):
    db = make(2)
    made = {db.insert([i, 1])["id"] for i in range(5)}
    assert len(made) == 5
    for x in made:
        assert db.get(x)["id"] == x


def test_a_single_post_of_a_present_id_is_a_conflict(make):
    db = make(2)
    db.insert([1, 2], id="x")
    with pytest.raises(Conflict) as e:
        db.insert([3, 4], id="x")
    assert e.value.status == 409
    assert db.get("x")["values"] == [1, 2]


def test_upsert_replaces_values_and_metadata_and_counts_versions(make):
    db = make(2)
    first = db.upsert("x", [1, 2], {"a": 1})
    second = db.upsert("x", [3, 4])
    assert (first["version"], second["version"]) == (1, 2)
    got = db.get("x")
    assert got["values"] == [3, 4] and not got.get("metadata") and got["version"] == 2
    assert db.status()["vectorCount"] == 1


def test_put_replaces_what_is_there_and_creates_only_when_asked(make):
    db = make(2)
    with pytest.raises(NotFound):
        db.replace("x", [1, 2])
    db.replace("x", [1, 2], {"a": 1}, upsert=True)
    db.replace("x", [5, 6], {"b": 2})
    got = db.get("x")
    assert got["values"] == [5, 6] and got["metadata"] == {"b": 2}


def test_delete_of_a_missing_vector_is_not_found(make):
    db = make(2)
    with pytest.raises(NotFound) as e:
        db.delete("x")
    assert "vectorId" in e.value.fields


def test_a_deleted_vector_is_found_by_nothing(make):
    db = make(2)
    db.upsert_many([{"id": str(i), "values": [i, 1]} for i in range(100)])
    for i in range(0, 100, 2):
        db.delete(str(i))
    assert {h["id"] for h in db.search([50, 1], top_k=100)} == {str(i) for i in range(1, 100, 2)}
    assert db.status()["vectorCount"] == 50
    db.upsert("2", [2, 1])
    assert db.get("2")["version"] == 1


@pytest.mark.parametrize("mode, code", [("insert", "ALREADY_EXISTS"), ("error", "ALREADY_EXISTS"), ("update", "NOT_FOUND")])
def test_a_batch_is_stored_whole_or_not_at_all(make, mode, code):
    db = make(2)
    db.upsert("old", [1, 2])
    with pytest.raises((Conflict, NotFound)) as e:
        db.upsert_many([{"id": "new", "values": [3, 4]}, {"id": "old", "values": [5, 6]}], on_conflict=mode)
    assert e.value.code == code
    assert db.get("old")["values"] == [1, 2]
    with pytest.raises(NotFound):
        db.get("new")


def test_a_batch_answers_each_record(make):
    db = make(2)
    db.upsert("b", [0, 0.5])
    answer = db.upsert_many([{"id": "a", "values": [1, 2]}, {"id": "b", "values": [3, 4]}, {"values": [5, 6]}])
    rows = answer["results"]
    assert [r["id"] for r in rows[:2]] == ["a", "b"]
    assert [r["version"] for r in rows] == [1, 2, 1]
    assert db.get(rows[2]["id"])["values"] == [5, 6]


def test_a_wrong_record_in_a_batch_is_named_and_nothing_is_stored(make):
    db = make(2)
    with pytest.raises(BadRequest) as e:
        db.upsert_many([{"id": "a", "values": [1, 2]}, {"id": "b", "values": [1, 2, 3]}])
    assert e.value.code == "DIMENSION_MISMATCH" and e.value.fields == ["vectors[1].values"]
    assert db.status()["vectorCount"] == 0


def test_a_large_batch_is_one_record(make):
    db = make(16)
    n = 10000
    db.upsert_many([{"id": f"r{i}", "values": [i % 7, i, *([0.5] * 14)]} for i in range(n)])
    assert db.status()["vectorCount"] == n
    assert db.get("r9999")["values"][:2] == [9999 % 7, 9999]


@pytest.mark.parametrize("durability", ["sync", "periodic", "async"])
def test_a_write_is_visible_at_its_acknowledgement(make, durability):
    db = make(4)
    for i in range(50):
        db.upsert(f"v{i}", [i, 1, 2, 3], durability=durability)
        assert db.get(f"v{i}")["values"][0] == i
        assert f"v{i}" in {h["id"] for h in db.search([i, 1, 2, 3], top_k=50)}


def test_text_is_stored_as_a_vector_and_found(make, jade):
    db = make(384)
    db.insert(text="a small domesticated carnivorous mammal, the cat", id="cat")
    db.insert(text="a machine for performing calculations automatically", id="computer")
    assert db.search(text="cat, a small mammal", top_k=1)[0]["id"] == "cat"
    vectors = jade.embed(["the cat", "the dog"])
    assert vectors["dimension"] == 384 and len(vectors["embeddings"]) == 2
