"""The command line as a person or a script types it: build/bin/jade-db against a real server."""

import http.client
import http.server
import json
import os
import shlex
import stat
import subprocess
import threading

import numpy
import pytest
import yaml
from server import ADMIN_KEY, environment, program

OK, FAILED, USAGE, PARTIAL, NOT_FOUND, DENIED, NO_CONNECTION = range(7)
CLOSED_URL = "http://127.0.0.1:9"  # the port "discard", where nothing listens on a test machine


@pytest.fixture
def cli(server, tmp_path):
    """cli("database list", code=0) runs a line as a shell would split it; words=... are passed as they are."""

    def run(line, *words, code=OK, stdin=None, url=server.url, key=ADMIN_KEY, **env):
        settings = environment(JADE_ADMIN_KEY=None, JADE_URL=url, JADE_API_KEY=key, XDG_CONFIG_HOME=str(tmp_path / "config"), **env)
        r = subprocess.run(
            [str(program("jade-db")), *shlex.split(line), *words], env=settings, input=stdin if stdin is not None else "",
            capture_output=True, text=True, timeout=60,
        )
        assert r.returncode == code, (line, r.returncode, r.stdout, r.stderr)
        return r

    return run


def lines_of(rows):
    return "".join(json.dumps(r) + "\n" for r in rows)


# ---- the lines of the specification (UI-014, UI-015) ----


def test_the_lines_of_the_specification_work_as_written(cli, jade, name, make, tmp_path):
    assert "standalone" in cli("cluster status").stdout
    cli(f"database create --name {name} --dimension 768")
    db = jade.get_database(name)
    try:
        assert db.info["vectorDimension"] == 768
        rows = [{"id": f"v{i}", "values": [1.0 if j == i else 0.0 for j in range(768)]} for i in range(50)]
        file = tmp_path / "data.jsonl"
        file.write_text(lines_of(rows))
        cli(f"import {name} --file {file}")
        assert db.status()["vectorCount"] == 50
        vector = "[" + ", ".join("1.0" if j == 7 else "0.0" for j in range(768)) + "]"
        out = cli(f"search {name} --vector", vector).stdout
        assert out.splitlines()[1].split()[0] == "v7", out
    finally:
        db.drop()


def test_a_database_is_made_listed_shown_and_deleted(cli, jade, name):
    cli(f"database create --name {name} --dimension 3 --metric euclidean --m 24 --description 'a b'")
    try:
        info = json.loads(cli(f"-o json database show {name}").stdout)
        assert (info["name"], info["vectorDimension"], info["description"]) == (name, 3, "a b")
        listed = json.loads(cli("-o json database list").stdout)
        assert name in [d["name"] for d in listed["databases"]]
        assert any(line.split()[0] == name for line in cli("database list").stdout.splitlines())
        cli(f"database create --name {name} --dimension 3", code=FAILED)
        refused = cli(f"database delete {name}", code=USAGE)  # no terminal to ask at, and no --yes
        assert "--yes" in refused.stderr and jade.get_database(name)
    finally:
        cli(f"database delete {name} --yes")
    assert name not in cli("database list").stdout
    assert "NOT_FOUND" in cli(f"database show {name}", code=NOT_FOUND).stderr


def test_a_vector_is_stored_shown_and_deleted(cli, make, name):
    db = make(3)
    cli(f"vector put {name} --id p1 --vector", "[0.5, 1, -2]", "--metadata", '{"color": "red"}')
    assert db.get("p1")["values"] == [0.5, 1, -2]
    got = json.loads(cli(f"-o json vector get {name} p1").stdout)
    assert got["values"] == [0.5, 1, -2] and got["metadata"] == {"color": "red"}
    assert "values" not in json.loads(cli(f"-o json vector get {name} p1 --no-values").stdout)
    cli(f"vector put {name} --id p1 --vector", "[9, 9, 9]")
    assert db.get("p1")["values"] == [9, 9, 9]
    wrong = cli(f"vector put {name} --id p2 --vector", "[1, 2]", code=FAILED).stderr
    assert "DIMENSION_MISMATCH" in wrong and "values" in wrong
    cli(f"vector delete {name} p1")
    cli(f"vector get {name} p1", code=NOT_FOUND)


# ---- import ----


def test_bad_rows_are_told_by_line_and_the_good_ones_are_kept(cli, make, name, tmp_path):
    db = make(2)
    file = tmp_path / "mixed.jsonl"
    file.write_text(
        '{"id": "a", "values": [1, 2]}\n'
        "not json\n"
        '{"id": "b", "values": [1, 2, 3]}\n'
        "\n"
        '{"id": "c", "values": [3, 4]}\n'
        '{"id": "d", "values": [1, 1], "nonsense": true}\n'
        '{"id": "e", "values": [5, 6], "metadata": {"n": 1}}\n'
    )
    r = cli(f"-o json import {name} --file {file}", code=PARTIAL)
    told = sorted(line.split(":")[0] for line in r.stderr.splitlines() if line.startswith("line "))
    assert told == ["line 2", "line 3", "line 6"], r.stderr
    assert "nonsense" in r.stderr
    outcome = json.loads(r.stdout)
    assert outcome["imported"] == 3 and outcome["bad"] == 3 and outcome["complete"] is True
    assert db.status()["vectorCount"] == 3
    assert db.get("e")["metadata"] == {"n": 1} and db.get("c")["values"] == [3, 4]


def test_an_array_is_imported_with_its_ids_and_makes_its_database(cli, jade, name, tmp_path):
    rows = numpy.random.default_rng(5).standard_normal((300, 7)).astype(numpy.float32)
    numpy.save(tmp_path / "rows.npy", rows)
    (tmp_path / "ids.txt").write_text("".join(f"row-{i}\n" for i in range(300)))
    cli(f"import {name} --file {tmp_path}/rows.npy --ids {tmp_path}/ids.txt --create --metric euclidean --connections 3 --batch 11")
    db = jade.get_database(name)
    try:
        assert db.status()["vectorCount"] == 300
        for i in (0, 17, 299):
            assert numpy.array_equal(numpy.float32(db.get(f"row-{i}")["values"]), rows[i])
    finally:
        db.drop()


def test_standard_input_is_imported(cli, make, name):
    db = make(2)
    cli(f"import {name} --file -", stdin=lines_of({"id": i, "values": [i, 1]} for i in range(2500)))
    assert db.status()["vectorCount"] == 2500 and db.get("2499")["values"] == [2499, 1]


# ---- an import is read back (DM-004) ----


class Liar(http.server.BaseHTTPRequestHandler):
    """Passes requests on to the real server, but for one lie."""

    protocol_version = "HTTP/1.1"
    server_url, lie = "", ""

    def log_message(self, *_):
        pass

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("/vectors/batch"):
            wanted = json.loads(body)
            if self.lie == "loses":
                wanted["vectors"] = wanted["vectors"][: len(wanted["vectors"]) // 2]
            if self.lie == "bends":
                for v in wanted["vectors"]:
                    v["values"][1] += 0.001
            body = json.dumps(wanted).encode()
        to = http.client.HTTPConnection(self.server_url.removeprefix("http://"), timeout=30)
        to.request(self.command, self.path, body, {k: v for k, v in self.headers.items() if k in ("Authorization", "Content-Type")})
        answer = to.getresponse()
        data = answer.read()
        to.close()
        if self.path.endswith("/search") and self.lie == "hides":
            data = json.dumps({"status": "success", "data": {"results": []}}).encode()
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = pass_on


@pytest.fixture
def liar(server):
    """liar(lie) is the address of a server that tells it; "" is an honest one."""
    started = []

    def start(lie):
        handler = type("Handler", (Liar,), {"server_url": server.url, "lie": lie})
        started.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=started[-1].serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{started[-1].server_port}"

    yield start
    for s in started:
        s.shutdown()
        s.server_close()


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dot"])
def test_an_import_finds_its_rows_again(cli, make, name, liar, metric):
    make(3, metric=metric)
    rows = [{"id": f"r/{i}", "values": [i - 200, 1, 2]} for i in range(400)] + [{"id": "zero", "values": [1e-9, 0, 0]}]
    rows += [{"id": f"same{i}", "values": [1, 2, 3]} for i in range(100)]  # more than a search shows
    outcome = json.loads(cli(f"-o json import {name} --file -", stdin=lines_of(rows), url=liar("")).stdout)
    assert outcome["verified"] == 20 and outcome["imported"] == 501
    assert "20 read back and found" in cli(f"import {name} --file -", stdin=lines_of(rows)).stdout
    assert json.loads(cli(f"-o json import {name} --no-verify --file -", stdin=lines_of(rows)).stdout)["verified"] == 0


@pytest.mark.parametrize("lie, told", [("loses", "is not there"), ("bends", "values[1]"), ("hides", "no search for it finds it")])
def test_an_import_that_is_not_there_is_told(cli, make, name, liar, lie, told):
    make(3, metric="euclidean")
    rows = [{"id": f"r{i}", "values": [i, 1, 2]} for i in range(400)]
    r = cli(f"-o json import {name} --file -", stdin=lines_of(rows), url=liar(lie), code=FAILED)
    assert told in r.stderr and "DATA_CORRUPT" in r.stderr
    assert json.loads(r.stdout)["complete"] is False


def test_an_import_without_ids_is_counted(cli, make, name, liar):
    make(2)
    rows = [{"values": [i, 1]} for i in range(400)]
    cli(f"import {name} --file -", stdin=lines_of(rows))
    r = cli(f"import {name} --file -", stdin=lines_of(rows * 3), url=liar("loses"), code=FAILED)
    assert "vectorCount: " in r.stderr and "1000 vectors are in" in r.stderr and "1200 were stored" in r.stderr


def test_texts_are_found_again(cli, jade, name):
    words = ["dog", "cat", "ship", "tree", "river", "mountain", "engine", "poem"]
    rows = [{"id": f"t{i}", "text": f"{words[i % 8]} {words[i * 3 % 7]} number {i}"} for i in range(60)]
    try:
        assert json.loads(cli(f"-o json import {name} --create --model jade-hash-384 --file -", stdin=lines_of(rows)).stdout)["verified"] == 20
    finally:
        jade.delete_database(name)


# ---- search ----


@pytest.fixture
def animals(cli, jade, name):
    cli(f"database create --name {name} --model jade-hash-384")
    for word, text, kind in (
        ("dog", "a small domestic dog", "animal"), ("cat", "a small domestic cat", "animal"), ("ship", "a large sailing ship of the navy", "thing"),
    ):
        cli(f"vector put {name} --id {word} --text '{text}' --metadata", json.dumps({"kind": kind}))
    yield
    jade.delete_database(name)


def ids_of(r):
    return [hit["id"] for hit in json.loads(r.stdout)["results"]]


def test_search_by_text_by_id_and_with_a_filter(cli, animals, name):
    assert ids_of(cli(f"-o json search {name} --text 'navy sailing ship'"))[0] == "ship"
    assert ids_of(cli(f"-o json search {name} --id dog --top-k 2"))[0] == "cat"  # itself is left out
    kept = ids_of(cli(f"-o json search {name} --text 'navy sailing ship' --filter", '{"kind": "animal"}'))
    assert sorted(kept) == ["cat", "dog"]
    table = cli(f"search {name} --text 'navy sailing ship' --columns kind,id --top-k 1").stdout.splitlines()
    assert table[1].split() == ["thing", "ship"] and table[-1].startswith("1 result")


# ---- forms of output (UI-016) ----


def test_every_command_prints_json_and_yaml_of_the_same_values(cli, make, name):
    make(2).upsert("7", [1, 0.5], {"text": "no: 'yes' # 1", "version": "1.0", "list": [1, None, True], "empty": {}})
    for line in (
        "status", f"status {name}", "cluster status", "database list", f"database show {name}", f"vector get {name} 7",
        f"search {name} --id 7", "key list", "model list", "profile list",
    ):
        for text, form in ((cli(f"-o json {line}").stdout, "json"), (cli(f"-o yaml {line}").stdout, "yaml")):
            value = json.loads(text) if form == "json" else yaml.safe_load(text)
            assert isinstance(value, (dict, list)), (line, form)
        table = cli(f"-o table {line}").stdout
        assert table == cli(line).stdout or "status" in line or "search" in line or line.startswith("key"), line
        assert table.strip() and not table.startswith("{"), line
    line = f"vector get {name} 7"
    assert json.loads(cli(f"-o json {line}").stdout) == yaml.safe_load(cli(f"-o yaml {line}").stdout)
    assert "json" in cli("-o xml database list", code=USAGE).stderr


# ---- exit codes ----


def test_exit_codes_tell_what_went_wrong(cli, jade, make, name):
    make(2)
    cli("database list", code=OK)
    cli(f"database create --name {name} --dimension 2", code=FAILED)
    for wrong in ("database lst", "database create --nmae x", f"search {name}", f"search {name} --vector [1,", "import x", ""):
        r = cli(wrong, code=USAGE)
        assert r.stderr and not r.stdout, wrong
    cli("database show none-of-this-name", code=NOT_FOUND)
    cli(f"vector get {name} none", code=NOT_FOUND)
    assert "UNAUTHORIZED" in cli("database list", key="wrong-key-0123456789abcdef", code=DENIED).stderr
    assert "UNAUTHORIZED" in cli("database list", key=None, code=DENIED).stderr
    weak = jade.create_key("cli", "read-only")
    assert "FORBIDDEN" in cli(f"vector put {name} --id a --vector [1,2]", key=weak["key"], code=DENIED).stderr
    lost = cli("database list", url=CLOSED_URL, code=NO_CONNECTION)
    assert "hint: " in lost.stderr and not lost.stdout


# ---- profiles and keys ----


def test_a_profile_is_private_and_is_used(cli, server, tmp_path):
    cli("profile set local", "--url", server.url, "--key", ADMIN_KEY, url=None, key=None)
    file = tmp_path / "config" / "jade-db" / "profiles.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    cli("database list", url=None, key=None)
    cli("--profile local database list", url=None, key=None)
    cli("profile set away", "--url", CLOSED_URL, "--key", "k" * 30, url=None, key=None)
    cli("profile use away", url=None, key=None)
    cli("database list", url=None, key=None, code=NO_CONNECTION)
    cli("database list", url=None, key=None, JADE_PROFILE="local")
    for line in ("profile list", "-o json profile list", "-o yaml profile show local", "profile show local"):
        shown = cli(line, url=None, key=None).stdout
        assert server.url in shown and ADMIN_KEY not in shown and ADMIN_KEY[:12] not in shown, line
    os.chmod(file, 0o644)
    assert "chmod 600" in cli("--profile local database list", url=None, key=None, code=DENIED).stderr


def test_the_key_of_a_profile_goes_to_its_own_server_only(cli, server):
    cli("profile set local", "--url", CLOSED_URL, "--key", ADMIN_KEY, url=None, key=None)
    cli(f"--url {server.url} database list", url=None, key=None, code=DENIED)


def test_a_key_is_shown_once_and_never_listed(cli):
    made = json.loads(cli("-o json key create --name dashboard --scope read-only").stdout)
    for form in ("table", "json", "yaml"):
        listed = cli(f"-o {form} key list").stdout
        assert made["keyId"] in listed and made["key"] not in listed
    cli("database list", key=made["key"])
    cli(f"key delete {made['keyId']}")
    cli("database list", key=made["key"], code=DENIED)
