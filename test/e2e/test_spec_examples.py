"""
The five JSON examples of the specification as golden tests: what is sent, word for word (the "..." of vectors filled up to their
dimension), what is refused by name, and what comes back of the part that this build honours.
"""

import copy

import pytest
from jadedb import NotSupported

VECTOR = {
    "id": "vec_1234567890abcdef",
    "values": [0.12, 0.98, -0.34],
    "metadata": {
        "source": "document",
        "created_at": "2025-10-08T12:00:00Z",
        "updated_at": "2025-10-08T12:05:00Z",
        "tags": ["finance", "report", "confidential"],
        "owner": "user_001",
        "permissions": ["read", "search"],
        "category": "annual_report",
        "score": 0.87,
        "status": "active",
        "custom": {"region": "EU", "language": "en", "doc_id": "doc_987654"},
    },
    "index": {"type": "HNSW", "version": "v1.2.0", "parameters": {"M": 16, "efConstruction": 200}},
    "embedding_model": {"name": "BERT", "version": "base-uncased", "provider": "huggingface", "input_type": "text"},
    "shard": "shard_03",
    "replicas": ["node_01", "node_07"],
    "version": 3,
    "deleted": False,
}

DATABASE = {
    "databaseId": "db_001",
    "name": "finance_vectors",
    "description": "Embeddings for financial documents and reports",
    "vectorDimension": 768,
    "indexType": "HNSW",
    "indexParameters": {"M": 16, "efConstruction": 200, "efSearch": 64},
    "sharding": {"strategy": "hash", "numShards": 8},
    "replication": {"factor": 2, "sync": True},
    "embeddingModels": [
        {"name": "BERT", "version": "base-uncased", "provider": "huggingface", "inputType": "text"},
        {"name": "ResNet50", "version": "v2", "provider": "torchvision", "inputType": "image"},
    ],
    "metadataSchema": {
        "owner": "string",
        "tags": "array<string>",
        "category": "string",
        "score": "float",
        "status": "enum:active|archived|deleted",
        "custom": "object",
    },
    "retentionPolicy": {"maxAgeDays": 365, "archiveOnExpire": True},
    "accessControl": {"roles": ["admin", "user", "auditor"], "defaultPermissions": ["read", "search"]},
    "created_at": "2025-10-08T12:00:00Z",
    "updated_at": "2025-10-08T12:05:00Z",
}

INDEX = {
    "indexId": "idx_001",
    "databaseId": "db_001",
    "type": "HNSW",
    "parameters": {"M": 16, "efConstruction": 200, "efSearch": 64},
    "status": "ready",
    "created_at": "2025-10-08T12:00:00Z",
    "updated_at": "2025-10-08T12:05:00Z",
}

MODEL = {
    "modelId": "emb_bert_base_uncased",
    "name": "BERT",
    "version": "base-uncased",
    "provider": "huggingface",
    "inputType": "text",
    "outputDimension": 768,
    "parameters": {"maxTokens": 512, "normalize": True},
    "status": "active",
}

SEARCH = {
    "databaseId": "db_001",
    "queryVector": [0.12, 0.98, -0.34],
    "topK": 10,
    "filters": {"metadata.category": "annual_report", "metadata.tags": ["finance"], "metadata.score": {"$gte": 0.8}},
    "index": "HNSW",
    "embeddingModel": "BERT",
    "includeMetadata": True,
}

# What this build refuses of an example, in the order in which it is taken away: (field of the error, what makes it acceptable).
DATABASE_REFUSED = {
    "sharding.numShards": lambda d: d["sharding"].update(numShards=1),
    "replication.factor": lambda d: d["replication"].update(factor=1),
    "embeddingModels[0]": lambda d: d.pop("embeddingModels"),
    "retentionPolicy.maxAgeDays": lambda d: d.pop("retentionPolicy"),
    "accessControl.roles": lambda d: d["accessControl"].update(roles=[]),
    "accessControl.defaultPermissions": lambda d: d["accessControl"].update(defaultPermissions=[]),
}
VECTOR_REFUSED = {
    "embeddingModel": lambda v: v.pop("embedding_model"),
    "shard": lambda v: v.pop("shard"),
    "replicas": lambda v: v.update(replicas=[]),
}
SEARCH_REFUSED = {"embeddingModel": lambda s: s.pop("embeddingModel")}


def send(call, body, refused):
    """Sends body again and again, each time without what was refused as not supported yet; the answer, and the refused fields."""
    body = copy.deepcopy(body)
    met = []
    while True:
        try:
            return call(body), body, met
        except NotSupported as e:
            assert e.code == "NOT_SUPPORTED_YET" and e.status == 501
            (field,) = {next((r for r in refused if f == r or f.startswith(r + ".")), f) for f in e.fields}
            assert field in refused, f"{field}: {e}"
            assert field not in met, f"refused again: {e}"
            refused[field](body)
            met.append(field)


@pytest.fixture
def db(jade):
    """The database of example 2, as far as this build has it."""
    info, sent, met = send(lambda b: jade.request("POST", "/databases", b), DATABASE, DATABASE_REFUSED)
    yield jade.get_database(info["databaseId"]), info, sent, met
    jade.delete_database(info["databaseId"])


def fill(values):
    return values + [0.01 * (i % 7) for i in range(768 - len(values))]


def test_example_2_the_database(jade, db):
    handle, info, sent, met = db
    assert sorted(met) == sorted(DATABASE_REFUSED), "each unsupported part is refused by its own name"
    own = ("databaseId", "created_at", "updated_at")  # the server's
    for answer in (info, handle.info, next(d for d in jade.list_databases() if d["name"] == DATABASE["name"])):
        for field in set(sent) - set(own):
            assert answer[field] == sent[field], field
        assert answer["databaseId"] != "db_001" and answer["created_at"] != DATABASE["created_at"]
        assert answer["metric"] == "cosine"


def test_example_2_what_comes_back_can_be_sent_again(jade, db):
    handle, info, *_ = db
    jade.update_database(handle.id, handle.info)
    after = jade.get_database(handle.id).info
    assert {k: v for k, v in after.items() if k not in ("updated_at", "version", "status", "vectorCount")} == {
        k: v for k, v in info.items() if k not in ("updated_at", "version", "status", "vectorCount")
    }


def test_example_1_the_vector(jade, db):
    handle = db[0]
    vector = dict(VECTOR, values=fill(VECTOR["values"]))
    answer, sent, met = send(lambda b: jade.request("POST", f"/databases/{handle.id}/vectors", b), vector, VECTOR_REFUSED)
    assert answer["id"] == VECTOR["id"] and answer["version"] == 1
    assert sorted(met) == sorted(VECTOR_REFUSED)
    got = handle.get(VECTOR["id"])
    assert got["metadata"] == VECTOR["metadata"]
    assert got["values"] == pytest.approx(vector["values"], rel=1e-6)
    assert got["index"]["type"] == "HNSW" and got["index"]["parameters"]["M"] == 16 and got["deleted"] is False


def test_example_1_metadata_is_held_to_the_schema(jade, db):
    from jadedb import BadRequest

    handle = db[0]
    for field, wrong in {"owner": 5, "tags": ["a", 1], "score": "high", "status": "sleeping", "custom": []}.items():
        with pytest.raises(BadRequest) as e:
            handle.upsert("x", fill([1.0]), {field: wrong})
        assert e.value.status == 422 and e.value.fields == [f"metadata.{field}"]
    assert handle.status()["vectorCount"] == 0


def test_example_3_the_index(jade, db):
    handle = db[0]
    (index,) = handle.indexes()
    assert set(INDEX) <= set(index)
    for field in ("type", "parameters", "status"):
        assert index[field] == INDEX[field]
    assert index["databaseId"] == handle.id
    assert jade.request("GET", f"/databases/{handle.id}/indexes/{index['indexId']}") == index


def test_example_3_is_accepted_as_a_body(jade, db):
    handle = db[0]
    (index,) = handle.indexes()
    body = dict(INDEX, indexId=index["indexId"], databaseId=handle.id)
    jade.request("PUT", f"/databases/{handle.id}/indexes/{index['indexId']}", body)
    assert handle.indexes()[0]["parameters"] == INDEX["parameters"]


def test_example_4_the_model(jade):
    with pytest.raises(NotSupported) as e:
        jade.request("POST", "/models", MODEL)
    assert e.value.code == "NOT_SUPPORTED_YET" and e.value.fields
    models = jade.request("GET", "/models")["models"]
    assert models and all(set(MODEL) <= set(m) for m in models)
    assert {m["name"] for m in models} == {"jade-hash-384"}


def test_example_5_the_search(jade, db):
    handle = db[0]
    handle.upsert(VECTOR["id"], fill(VECTOR["values"]), VECTOR["metadata"])
    handle.upsert("other", fill([0.1, 0.9]), dict(VECTOR["metadata"], score=0.5))
    handle.upsert("third", fill([0.1, 0.9]), dict(VECTOR["metadata"], tags=["sports"]))
    body = dict(SEARCH, databaseId=handle.id, queryVector=fill(SEARCH["queryVector"]))
    for path in ("/search", "/search/advanced"):
        answer, sent, met = send(lambda b, p=path: jade.request("POST", f"/databases/{handle.id}{p}", b), body, SEARCH_REFUSED)
        assert met == ["embeddingModel"]
        (hit,) = answer["results"]
        assert hit["id"] == VECTOR["id"] and hit["metadata"] == VECTOR["metadata"]
        assert hit["score"] == pytest.approx(1.0, abs=1e-6) and hit["distance"] == pytest.approx(0.0, abs=1e-6)
