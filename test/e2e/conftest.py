"""End-to-end tests: the real server process through the Python client and raw HTTP. JADE_BIN names another server than build/bin's."""

import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import server as support  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: the long form of a test; only with -m slow or --slow")


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the long forms too")


def pytest_collection_modifyitems(config, items):
    """Long forms are another suite (make test-recall: -m slow): left out unless they are asked for."""
    if config.getoption("--slow") or config.option.markexpr:
        return
    slow = [i for i in items if i.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [i for i in items if not i.get_closest_marker("slow")]


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One server for all tests that do not stop it."""
    with support.Server(tmp_path_factory.mktemp("shared") / "data") as s:
        yield s


@pytest.fixture(scope="session")
def jade(server):
    """Its admin client."""
    return server.client()


_numbers = itertools.count()


@pytest.fixture
def name():
    """A database name that no other test has."""
    return f"db{next(_numbers)}"


@pytest.fixture
def make(jade, name):
    """Makes databases of this test; dropped at its end."""
    made = []

    def create(dimension=4, suffix="", **config):
        made.append(jade.create_database(name + suffix, dimension, **config))
        return made[-1]

    yield create
    for db in made:
        try:
            db.drop()
        except Exception as e:
            if getattr(e, "code", "") != "NOT_FOUND":
                raise


@pytest.fixture
def own_server(tmp_path):
    """Starts servers of this test alone: own_server(*flags, **env); all are stopped at its end."""
    started = []

    def start(*flags, data="data", **more):
        s = support.Server(tmp_path / data, *flags, **more)
        started.append(s)
        return s.start()

    yield start
    for s in started:
        if s.process is not None:
            s.kill()
