"""Client and Database: the REST API as methods. Names of arguments are Python's, bodies are as docs/api says."""

from __future__ import annotations

import json
import os
import time
from typing import Any, Iterable, Mapping, Optional, Sequence
from urllib.parse import quote, urlencode

from .errors import JadeError, JobFailed, from_answer
from .http import Transport

Json = dict[str, Any]
_BASE = "/api/v1"


def _given(**fields: Any) -> Json:
    """The fields that were given, i.e. are not None."""
    return {k: v for k, v in fields.items() if v is not None}


def _plain(values: Any) -> Any:
    """A vector as a list: numpy arrays have tolist()."""
    return values.tolist() if hasattr(values, "tolist") else values


def _record(record: Mapping[str, Any]) -> Json:
    out = dict(record)
    if "values" in out:
        out["values"] = _plain(out["values"])
    return out


class Client:
    """
    A server. api_key: sent as Bearer token; None = JADE_API_KEY of the environment, if set. timeout: seconds for connecting and for every
    wait for bytes.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:7433", api_key: Optional[str] = None, timeout: float = 30.0
    ) -> None:
        self.url = url
        self._transport = Transport(url, timeout)
        self._key = api_key if api_key is not None else os.environ.get("JADE_API_KEY")

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections of all threads; the client may be used again."""
        self._transport.close()

    # ---- requests ----

    def raw(
        self,
        method: str,
        path: str,
        body: Optional[bytes] = None,
        headers: Optional[Mapping[str, str]] = None,
        repeatable: Optional[bool] = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Sends bytes as they are and answers status, headers and bytes; errors are not raised."""
        h = {"Accept": "application/json"}
        if self._key:
            h["Authorization"] = f"Bearer {self._key}"
        if body is not None:
            h["Content-Type"] = "application/json"
        h.update(headers or {})
        if repeatable is None:
            repeatable = method in ("GET", "HEAD", "PUT", "DELETE")
        return self._transport.send(method, path, body, h, repeatable)

    def envelope(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Optional[Mapping[str, Any]] = None,
        repeatable: Optional[bool] = None,
    ) -> Json:
        """The whole answer {status, message, data, timestamp, meta}. Raises JadeError."""
        params = {k: str(v).lower() if isinstance(v, bool) else v for k, v in (query or {}).items() if v is not None}
        full = _BASE + path + ("?" + urlencode(params) if params else "")
        raw = None if body is None else json.dumps(body, allow_nan=False, separators=(",", ":")).encode()
        status, _, answer = self.raw(method, full, raw, repeatable=repeatable)
        try:
            parsed = json.loads(answer) if answer else None
        except ValueError:
            parsed = None
        if status >= 400:
            raise from_answer(status, parsed, answer.decode("utf-8", "replace"))
        if not isinstance(parsed, dict):
            raise JadeError(f"{method} {path}: the answer is not JSON", status=status)
        return parsed

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Optional[Mapping[str, Any]] = None,
        repeatable: Optional[bool] = None,
    ) -> Any:
        """The answer's data. path is relative to /api/v1."""
        return self.envelope(method, path, body, query, repeatable).get("data")

    # ---- server ----

    def health(self) -> Json:
        return self.request("GET", "/health")

    def status(self) -> Json:
        return self.request("GET", "/status")

    def metrics(self) -> str:
        """Prometheus text of GET /metrics."""
        status, _, body = self.raw("GET", "/metrics")
        if status != 200:
            raise from_answer(status, None, body.decode("utf-8", "replace"))
        return body.decode()

    # ---- databases ----

    def create_database(
        self,
        name: str,
        dimension: int,
        *,
        metric: Optional[str] = None,
        index_type: Optional[str] = None,
        index_parameters: Optional[Mapping[str, Any]] = None,
        description: Optional[str] = None,
        durability: Optional[str] = None,
        **more: Any,
    ) -> "Database":
        """Makes a database. more: further members of the database object, by their names in the API."""
        body = _given(
            name=name,
            vectorDimension=dimension,
            metric=metric,
            indexType=index_type,
            indexParameters=index_parameters,
            description=description,
            durability=durability,
            **more,
        )
        info = self.request("POST", "/databases", body)
        return Database(self, info["databaseId"], info)

    def list_databases(self, limit: Optional[int] = None) -> list[Json]:
        """Every database; pages are followed."""
        found: list[Json] = []
        cursor: Optional[str] = None
        while True:
            data = self.request("GET", "/databases", query=_given(limit=limit, cursor=cursor))
            found += data["databases"]
            cursor = data.get("nextCursor")
            if not cursor:
                return found

    def database(self, id_or_name: str) -> "Database":
        """A handle, without asking the server."""
        return Database(self, id_or_name, {})

    def get_database(self, id_or_name: str) -> "Database":
        info = self.request("GET", f"/databases/{quote(id_or_name, safe='')}")
        return Database(self, info["databaseId"], info)

    def update_database(self, id_or_name: str, body: Mapping[str, Any]) -> Json:
        return self.request("PUT", f"/databases/{quote(id_or_name, safe='')}", body)

    def delete_database(self, id_or_name: str) -> Json:
        return self.request("DELETE", f"/databases/{quote(id_or_name, safe='')}")

    # ---- jobs ----

    def jobs(self) -> list[Json]:
        return self.request("GET", "/operations")["operations"]

    def job(self, operation_id: str) -> Json:
        return self.request("GET", f"/operations/{quote(operation_id, safe='')}")

    def cancel_job(self, operation_id: str) -> Json:
        return self.request("DELETE", f"/operations/{quote(operation_id, safe='')}")

    def wait_job(self, operation_id: str, timeout: float = 600.0) -> Json:
        """Waits until the job has succeeded. Raises JobFailed, TimeoutError."""
        until = time.monotonic() + timeout
        pause = 0.01
        while True:
            job = self.job(operation_id)
            if job["state"] == "succeeded":
                return job
            if job["state"] in ("failed", "cancelled"):
                raise JobFailed(job)
            if time.monotonic() >= until:
                raise TimeoutError(f"job {operation_id} is still {job['state']} after {timeout} s")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)

    # ---- embeddings, keys ----

    def embed(self, texts: Sequence[str], model: Optional[str] = None) -> Json:
        """The answer of POST /embeddings; its vectors are in embeddings[i].values."""
        return self.request("POST", "/embeddings", _given(input=list(texts), model=model), repeatable=True)

    def keys(self) -> list[Json]:
        return self.request("GET", "/keys")["keys"]

    def create_key(self, name: str, scope: str) -> Json:
        """scope: read-only, read-write or admin. The answer's `key` is shown this once."""
        return self.request("POST", "/keys", {"name": name, "scope": scope})

    def delete_key(self, key_id: str) -> Json:
        return self.request("DELETE", f"/keys/{quote(key_id, safe='')}")


class Database:
    """One database of a client. info: its object as of the call that made this handle."""

    def __init__(self, client: Client, id_or_name: str, info: Mapping[str, Any]) -> None:
        self.client = client
        self.id = id_or_name
        self.info = dict(info)
        self._path = f"/databases/{quote(id_or_name, safe='')}"

    def _vector(self, vector_id: str) -> str:
        return f"{self._path}/vectors/{quote(vector_id, safe='')}"

    def status(self) -> Json:
        return self.client.request("GET", self._path + "/status")

    def update(self, body: Mapping[str, Any]) -> Json:
        """Replaces the database's configuration."""
        return self.client.update_database(self.id, body)

    def drop(self) -> Json:
        return self.client.delete_database(self.id)

    # ---- vectors ----

    def insert(
        self,
        values: Any = None,
        *,
        id: Optional[str] = None,
        metadata: Optional[Mapping[str, Any]] = None,
        text: Optional[str] = None,
        on_conflict: Optional[str] = None,
        durability: Optional[str] = None,
    ) -> Json:
        """Stores one vector; Conflict when the id exists (unless on_conflict says otherwise). No id: one is made."""
        body = _given(id=id, values=_plain(values), text=text, metadata=metadata, onConflict=on_conflict)
        return self.client.request("POST", self._path + "/vectors", body, _given(durability=durability))

    def upsert(self, id: str, values: Any = None, metadata: Optional[Mapping[str, Any]] = None, **more: Any) -> Json:
        """Stores or replaces one vector."""
        return self.insert(values, id=id, metadata=metadata, on_conflict="upsert", **more)

    def upsert_many(
        self,
        records: Iterable[Mapping[str, Any]],
        *,
        on_conflict: Optional[str] = None,
        durability: Optional[str] = None,
    ) -> Json:
        """Stores records as one atomic batch."""
        body = _given(vectors=[_record(r) for r in records], onConflict=on_conflict)
        return self.client.request("POST", self._path + "/vectors/batch", body, _given(durability=durability))

    def get(self, id: str) -> Json:
        """A stored vector with its values and metadata."""
        return self.client.request("GET", self._vector(id))

    def replace(self, id: str, values: Any, metadata: Optional[Mapping[str, Any]] = None, upsert: bool = False) -> Json:
        """Replaces a vector; NotFound when it is not there, unless upsert."""
        return self.client.request(
            "PUT", self._vector(id), _given(values=_plain(values), metadata=metadata), {"upsert": True} if upsert else None
        )

    def delete(self, id: str) -> Json:
        """Deletes one vector; NotFound when it is not there."""
        return self.client.request("DELETE", self._vector(id), repeatable=False)

    # ---- search ----

    def search(
        self,
        vector: Any = None,
        *,
        text: Optional[str] = None,
        id: Optional[str] = None,
        top_k: int = 10,
        filters: Optional[Mapping[str, Any]] = None,
        threshold: Optional[float] = None,
        include_metadata: bool = True,
        include_values: bool = False,
        ef_search: Optional[int] = None,
        exact: Optional[bool] = None,
    ) -> list[Json]:
        """The nearest records, best first. One of vector, text, id (near this stored record)."""
        body = _given(
            queryVector=_plain(vector),
            text=text,
            id=id,
            topK=top_k,
            filters=filters,
            threshold=threshold,
            includeMetadata=include_metadata,
            includeValues=include_values,
            efSearch=ef_search,
            exact=exact,
        )
        return self.client.request("POST", self._path + "/search", body, repeatable=True)["results"]

    def search_advanced(self, body: Mapping[str, Any]) -> Json:
        return self.client.request("POST", self._path + "/search/advanced", body, repeatable=True)

    # ---- indexes ----

    def indexes(self) -> list[Json]:
        return self.client.request("GET", self._path + "/indexes")["indexes"]

    def create_index(self, type: str, parameters: Optional[Mapping[str, Any]] = None) -> Json:
        return self.client.request("POST", self._path + "/indexes", _given(type=type, parameters=parameters))

    def rebuild_index(self, index_id: Optional[str] = None) -> Json:
        """Starts a rebuild job (wait_job); of the only index when none is named."""
        if index_id is None:
            index_id = self.indexes()[0]["indexId"]
        return self.client.request("POST", f"{self._path}/indexes/{quote(index_id, safe='')}/rebuild")

    def wait_indexed(self, timeout: float = 600.0, rest: int = 2047) -> Json:
        """
        Waits until at most `rest` rows are outside a graph (searches are right before, too): a segment of fewer than 2,048 rows gets none,
        because scanning it is as fast. Raises TimeoutError.
        """
        until = time.monotonic() + timeout
        pause = 0.01
        while True:
            status = self.status()
            if status["tailRows"] <= rest:
                return status
            if time.monotonic() >= until:
                raise TimeoutError(f"{status['tailRows']} rows are not indexed after {timeout} s")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.25)
