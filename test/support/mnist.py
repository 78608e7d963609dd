"""
MNIST-784 as f32 rows, from JADE_DATA_DIR or ../shared/data/mnist-784 beside the repository. Where it is absent, a generated set of the
same shape (clusters on a curved surface of few dimensions), and `source` says so.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy

ROOT = Path(__file__).resolve().parents[2]
SEED = 784


def folder() -> Path:
    return Path(os.environ.get("JADE_DATA_DIR", ROOT.parent / "shared" / "data" / "mnist-784"))


def _images(path: Path, n: int) -> numpy.ndarray:
    with gzip.open(path) as f:
        head = f.read(16)
        if int.from_bytes(head[:4], "big") != 2051:
            raise ValueError(f"{path} is no IDX file of images")
        count = min(n, int.from_bytes(head[4:8], "big"))
        return numpy.frombuffer(f.read(count * 784), dtype=numpy.uint8).reshape(count, 784).astype(numpy.float32)


def load(n_rows: int, n_queries: int) -> tuple[numpy.ndarray, numpy.ndarray, str]:
    """Rows, queries, source."""
    train = folder() / "train-images-idx3-ubyte.gz"
    if train.is_file():
        return _images(train, n_rows), _images(folder() / "test-images-idx3-ubyte.gz", n_queries), f"MNIST-784 ({n_rows} rows)"
    r = numpy.random.default_rng(SEED)
    latent = r.standard_normal((n_rows + n_queries, 12)) + r.standard_normal((10, 12))[r.integers(0, 10, n_rows + n_queries)] * 2
    out = numpy.tanh(latent @ r.standard_normal((12, 64)) / 3) @ r.standard_normal((64, 784))
    all_rows = numpy.clip(out * 20 + 64, 0, 255).astype(numpy.float32)
    return all_rows[:n_rows], all_rows[n_rows:], f"generated set ({n_rows} rows, seed {SEED}): MNIST-784 is not in {folder()}"


def exact(rows: numpy.ndarray, queries: numpy.ndarray, k: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Ids and Euclidean distances of the k nearest rows, in float64."""
    r = rows.astype(numpy.float64)
    norms = (r * r).sum(1)
    ids = numpy.empty((len(queries), k), dtype=numpy.int64)
    distances = numpy.empty((len(queries), k))
    for i, q in enumerate(queries.astype(numpy.float64)):
        d = norms - 2 * (r @ q) + q @ q
        best = numpy.argpartition(d, k)[:k]
        best = best[numpy.argsort(d[best], kind="stable")]
        ids[i], distances[i] = best, numpy.sqrt(numpy.maximum(d[best], 0))
    return ids, distances
