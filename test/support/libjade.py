"""
libjade.so through ctypes: include/jade/jade.h as far as the tests need it. JADE_LIB names another library than build/lib's.

The library runs in a process of its own (this file as a program), so that a crash of it is an error of one test, and a sanitized build
can have its runtime loaded first.
"""

from __future__ import annotations

import ctypes as c
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy

ROOT = Path(__file__).resolve().parents[2]


class Error(c.Structure):
    _fields_ = [("code", c.c_int), ("os_errno", c.c_int), ("line", c.c_int), ("file", c.c_char_p), ("field", c.c_char * 96), ("message", c.c_char * 256)]


class Config(c.Structure):
    _fields_ = [
        ("dimension", c.c_uint32),
        ("metric", c.c_char_p),
        ("index", c.c_char_p),
        ("m", c.c_uint32),
        ("ef_construction", c.c_uint32),
        ("ef_search", c.c_uint32),
        ("durability", c.c_char_p),
    ]


class Record(c.Structure):
    _fields_ = [("id", c.c_char_p), ("values", c.POINTER(c.c_float)), ("metadata", c.c_char_p)]


class Query(c.Structure):
    _fields_ = [
        ("vector", c.POINTER(c.c_float)),
        ("top_k", c.c_uint32),
        ("ef_search", c.c_uint32),
        ("exact", c.c_int),
        ("has_threshold", c.c_int),
        ("threshold", c.c_double),
        ("filter", c.c_char_p),
        ("include", c.c_uint),
    ]


class Result(c.Structure):
    _fields_ = [
        ("id", c.c_char_p),
        ("score", c.c_double),
        ("distance", c.c_double),
        ("values", c.POINTER(c.c_float)),
        ("metadata", c.c_char_p),
        ("version", c.c_uint64),
        ("created_us", c.c_int64),
        ("updated_us", c.c_int64),
    ]


def path() -> Path:
    given = os.environ.get("JADE_LIB")
    if not given and os.environ.get("JADE_BIN"):
        given = str(Path(os.environ["JADE_BIN"]).parents[1] / "lib" / "libjade.so")
    found = Path(given) if given else ROOT / "build" / "lib" / "libjade.so"
    if not found.is_file():
        raise FileNotFoundError(f"{found} is not there: `make build` first, or name it with JADE_LIB")
    return found


class LibError(Exception):
    """args: code, field, message."""


class Loaded:
    """One environment with one open database, in this process."""

    def __init__(self, folder: Path, dimension: int, **config) -> None:
        self.lib = c.CDLL(str(path()))
        self.lib.jade_db_config_default.restype = Config
        self.lib.jade_db_config_default.argtypes = [c.c_uint32]
        self.lib.jade_results_count.restype = c.c_size_t
        self.lib.jade_results_count.argtypes = [c.c_void_p]
        self.lib.jade_results_at.restype = c.POINTER(Result)
        self.lib.jade_results_at.argtypes = [c.c_void_p, c.c_size_t]
        self.lib.jade_results_free.argtypes = [c.c_void_p]
        self.lib.jade_results_free.restype = None
        self.lib.jade_db_wait_indexed.argtypes = [c.c_void_p, c.c_uint64, c.c_void_p]
        self.env, self.db = c.c_void_p(), c.c_void_p()
        self.dimension = dimension
        # One background thread: rows enter the graph in the order of writing, so that it is the same each time.
        options = c.c_uint(1)
        self._call("jade_env_open", str(folder).encode(), c.byref(options), c.byref(self.env))
        made = self.lib.jade_db_config_default(dimension)
        for k, v in config.items():
            setattr(made, k, v.encode() if isinstance(v, str) else v)
        self._call("jade_db_create", self.env, b"db", c.byref(made), c.byref(self.db))

    def _call(self, name: str, *args) -> None:
        err = Error()
        if getattr(self.lib, name)(*args, c.byref(err)) != 0:
            raise LibError(err.code, err.field.decode(), err.message.decode())

    def upsert(self, ids: list[str], rows: numpy.ndarray) -> None:
        rows = numpy.ascontiguousarray(rows, dtype=numpy.float32)
        records = (Record * len(ids))()
        for i, x in enumerate(ids):
            records[i].id = x.encode()
            records[i].values = rows[i].ctypes.data_as(c.POINTER(c.c_float))
        self._call("jade_db_upsert", self.db, records, c.c_size_t(len(ids)), None, None)

    def wait_indexed(self, seconds: float = 600) -> None:
        self._call("jade_db_wait_indexed", self.db, c.c_uint64(int(seconds * 1e6)))

    def search(self, q: numpy.ndarray, top_k: int, ef_search: int = 0, exact: bool = False) -> list[tuple[str, float]]:
        """(id, distance), best first."""
        q = numpy.ascontiguousarray(q, dtype=numpy.float32)
        query = Query(vector=q.ctypes.data_as(c.POINTER(c.c_float)), top_k=top_k, ef_search=ef_search, exact=int(exact))
        res = c.c_void_p()
        self._call("jade_db_search", self.db, c.byref(query), c.byref(res))
        try:
            hits = [self.lib.jade_results_at(res, i).contents for i in range(self.lib.jade_results_count(res))]
            return [(h.id.decode(), h.distance) for h in hits]
        finally:
            self.lib.jade_results_free(res)

    def close(self) -> None:
        self._call("jade_db_close", self.db)
        self._call("jade_env_close", self.env)


def runtime(library: Path) -> str:
    """The sanitizer's runtime that a sanitized build needs loaded before all else; "" for others."""
    for line in subprocess.run(["ldd", str(library)], check=True, capture_output=True, text=True).stdout.splitlines():
        if "libasan" in line or "libtsan" in line:
            return line.split("=>")[1].split()[0]
    return ""


class Library:
    """A Loaded in another process: the same methods."""

    def __init__(self, folder: Path, dimension: int, **config: Any) -> None:
        env = {**os.environ, "JADE_LIB": str(path())}
        if runtime(path()):
            # Python itself does not free everything at its end.
            env.update(LD_PRELOAD=runtime(path()), ASAN_OPTIONS="detect_leaks=0")
        self._process = subprocess.Popen([sys.executable, __file__], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._call("__init__", folder, dimension, **config)

    def _call(self, name: str, *args: Any, **named: Any) -> Any:
        pickle.dump((name, args, named), self._process.stdin)
        self._process.stdin.flush()
        try:
            ok, value = pickle.load(self._process.stdout)
        except EOFError:
            raise RuntimeError(f"libjade ended its process with {self._process.wait(30)} in {name}") from None
        if not ok:
            raise LibError(*value)
        return value

    def upsert(self, ids: list[str], rows: numpy.ndarray) -> None:
        self._call("upsert", ids, rows)

    def wait_indexed(self, seconds: float = 600) -> None:
        self._call("wait_indexed", seconds)

    def search(self, q: numpy.ndarray, top_k: int, ef_search: int = 0, exact: bool = False) -> list[tuple[str, float]]:
        return self._call("search", q, top_k, ef_search, exact)

    def close(self) -> None:
        self._call("close")
        self._process.stdin.close()
        self._process.stdout.close()
        if self._process.wait(60) != 0:
            raise RuntimeError(f"libjade ended its process with {self._process.returncode}")


def serve() -> None:
    """Carries out the calls that come on standard input."""
    loaded = None
    while True:
        try:
            name, args, named = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            if name == "__init__":
                loaded, value = Loaded(*args, **named), None
            else:
                value = getattr(loaded, name)(*args, **named)
            answer = (True, value)
        except LibError as e:
            answer = (False, e.args)
        pickle.dump(answer, sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    serve()
