"""Start, refusal to start, stop."""

import os
import socket
import stat
import subprocess
import threading
import time

import pytest
from jadedb import ConnectionFailed, JadeError
from server import ROOT, run_to_end


def one_line(text):
    """The only line of standard error that is no log line."""
    lines = [line for line in text.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, text
    return lines[0]


def test_start_prints_url_version_and_data_folder(own_server):
    s = own_server()
    line = next(line for line in s.output if "listening on" in line)
    assert s.url.startswith("http://127.0.0.1:") and not s.url.endswith(":0")
    assert str(s.data) in line and line.startswith("JadeVectorDB ")
    assert s.client().health()
    assert s.stop() == 0


def test_first_start_without_a_given_key_shows_a_key_that_works_once_only(own_server):
    s = own_server(JADE_ADMIN_KEY=None)
    shown = [line.split(":")[-1].strip() for line in s.output if "admin key" in line]
    assert len(shown) == 1 and shown[0].startswith("jade_")
    assert s.client(shown[0]).list_databases() == []
    s.stop()
    s.start()
    assert not [line for line in s.output if "admin key" in line]
    assert s.client(shown[0]).list_databases() == []
    assert shown[0] not in s.log_text()


def test_port_taken_is_one_line_and_exit_1(own_server, tmp_path):
    s = own_server()
    port = s.url.rsplit(":", 1)[1]
    r = run_to_end("--data", str(tmp_path / "other"), "--listen", f"127.0.0.1:{port}")
    assert r.returncode == 1
    assert port in one_line(r.stderr) and "taken" in one_line(r.stderr)
    assert "listening" not in r.stdout


def test_port_taken_by_another_program_is_exit_1(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        r = run_to_end("--data", str(tmp_path / "d"), "--listen", f"127.0.0.1:{port}")
    assert r.returncode == 1 and str(port) in one_line(r.stderr)


def test_data_folder_of_another_process_is_one_line_and_exit_1(own_server):
    s = own_server()
    r = run_to_end("--data", str(s.data), "--listen", "127.0.0.1:0")
    assert r.returncode == 1
    assert str(s.data) in one_line(r.stderr)
    assert s.client().health()


def test_data_folder_that_cannot_be_written_is_one_line_and_exit_1(tmp_path):
    r = run_to_end("--data", "/proc/jade", "--listen", "127.0.0.1:0")
    assert r.returncode == 1 and "/proc/jade" in one_line(r.stderr)
    a_file = tmp_path / "file"
    a_file.write_text("")
    r = run_to_end("--data", str(a_file), "--listen", "127.0.0.1:0")
    assert r.returncode == 1 and str(a_file) in one_line(r.stderr)
    assert a_file.read_text() == ""


def test_data_folder_without_permission_is_one_line_and_exit_1(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir()
    command = ["--data", str(closed), "--listen", "127.0.0.1:0"]
    if os.geteuid() != 0:
        closed.chmod(stat.S_IRUSR | stat.S_IXUSR)
        r = run_to_end(*command)
    else:  # root may write anywhere: run as nobody, who can reach the binary through /tmp only
        import shutil
        import tempfile

        from server import environment, program

        with tempfile.TemporaryDirectory(dir="/tmp") as there:
            os.chmod(there, 0o755)
            binary = shutil.copy(program(), there)
            folder = os.path.join(there, "closed")
            os.mkdir(folder, 0o755)
            command[1] = folder
            r = subprocess.run(
                [binary, *command], env=environment(), capture_output=True, text=True, timeout=30, user=65534, group=65534, extra_groups=[]
            )
            assert os.listdir(folder) == []
    assert r.returncode == 1
    assert "losed" in one_line(r.stderr)


@pytest.mark.parametrize(
    "flags, names",
    [
        (["--listen", "nonsense"], "listen"),
        (["--listen", "127.0.0.1:99999"], "listen"),
        (["--workers", "0"], "workers"),
        (["--workers", "many"], "workers"),
        (["--durability", "sometimes"], "durability"),
        (["--log-level", "loud"], "log"),
        (["--nosuch", "1"], "--nosuch"),
        (["--data"], "--data"),
        (["--config", "/nonexistent.yaml"], "/nonexistent.yaml"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(flags, names):
    r = run_to_end(*flags)
    assert r.returncode == 2, r.stderr
    assert names in one_line(r.stderr)


@pytest.mark.parametrize(
    "text, names",
    [
        ("storage:\n  durability: never\n", "durability"),
        ("storage:\n  unknownSetting: 1\n", "unknownSetting"),
        ("http: [1, 2]\n", "http"),
        ("{{{\n", ":1"),
        ("http:\n  workers: -1\n", "workers"),
    ],
)
def test_bad_configuration_file_names_file_and_line_and_exits_2(tmp_path, text, names):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    r = run_to_end("--config", str(path), "--check-config")
    assert r.returncode == 2, r.stdout + r.stderr
    line = one_line(r.stderr)
    assert str(path) + ":" in line
    assert names in line or names == "http"


def test_bad_environment_names_the_variable_and_exits_2():
    r = run_to_end("--check-config", JADE_HTTP_WORKERS="x")
    assert r.returncode == 2 and "JADE_HTTP_WORKERS" in one_line(r.stderr)


def test_check_config_prints_the_values_in_force_and_starts_nothing(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("storage:\n  durability: async\n  sealMiB: 7\nhttp:\n  workers: 3\n")
    r = run_to_end("--config", str(path), "--check-config", "--workers", "5", JADE_SEAL_MIB="9", JADE_HTTP_WORKERS="4")
    assert r.returncode == 0, r.stderr
    text = r.stdout.replace('"', "")
    assert "durability: async" in text  # file over default
    assert "sealMiB: 9" in text  # environment over file
    assert "workers: 5" in text  # flag over environment
    assert not (tmp_path / "data").exists()
    again = tmp_path / "again.yaml"
    again.write_text(r.stdout)
    assert run_to_end("--config", str(again), "--check-config").stdout == r.stdout


@pytest.mark.parametrize("kind", ["development", "staging", "production"])
def test_shipped_configurations_are_valid(kind):
    r = run_to_end("--config", str(ROOT / "config" / f"{kind}.yaml"), "--check-config")
    assert r.returncode == 0, r.stderr


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0"])
def test_addresses_beyond_loopback_are_refused_without_insecure(tmp_path, listen):
    r = run_to_end("--data", str(tmp_path / "d"), "--listen", listen)
    assert r.returncode == 2
    assert "insecure" in one_line(r.stderr)
    assert not (tmp_path / "d").exists()


def test_insecure_allows_other_addresses(own_server):
    s = own_server("--insecure", listen="0.0.0.0:0")
    port = s.url.rsplit(":", 1)[1]
    with socket.create_connection(("127.0.0.1", int(port)), timeout=10):
        pass
    assert s.stop() == 0


def test_a_weak_admin_key_is_refused(tmp_path):
    r = run_to_end("--data", str(tmp_path / "d"), "--listen", "127.0.0.1:0", JADE_ADMIN_KEY="short")
    assert r.returncode in (1, 2)
    assert "JADE_ADMIN_KEY" in one_line(r.stderr) and "short'" not in r.stderr


def test_help_and_version_exit_0():
    r = run_to_end("--help")
    assert r.returncode == 0 and "--listen" in r.stdout and "JADE_LISTEN" in r.stdout
    r = run_to_end("--version")
    assert r.returncode == 0 and r.stdout.startswith("jadevectordb ")


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_stops_within_5_s_with_load_running_and_loses_nothing(own_server, number):
    import signal

    s = own_server()
    db = s.client().create_database("load", 32)
    stop = threading.Event()
    written = [[] for _ in range(4)]
    odd = []

    def write(w):
        mine = s.client().database(db.id)
        i = 0
        while not stop.is_set():
            try:
                ids = [f"{w}-{i}-{k}" for k in range(20)]
                mine.upsert_many([{"id": x, "values": [float(i), w, *range(30)]} for x in ids])
                written[w] += ids
                mine.search([1.0] * 32, top_k=5)
                i += 1
            except ConnectionFailed:
                return
            except JadeError as e:
                if e.status != 503:
                    odd.append(e)
                return

    threads = [threading.Thread(target=write, args=(w,)) for w in range(4)]
    for t in threads:
        t.start()
    while min(len(w) for w in written) < 40:
        assert s.process.poll() is None
        time.sleep(0.01)
    begin = time.monotonic()
    s.process.send_signal(getattr(signal, number))
    code = s.wait(30)
    took = time.monotonic() - begin
    stop.set()
    for t in threads:
        t.join()
    assert code == 0, s.log_text()[-2000:]
    assert took < 5.0
    assert not odd
    s.start()
    there = s.client().database("load")
    for ids in written:
        for x in (ids[0], ids[-1]):
            assert there.get(x)["id"] == x
    assert there.status()["vectorCount"] >= sum(len(w) for w in written)


def test_an_idle_keep_alive_connection_does_not_hold_up_the_stop(own_server):
    s = own_server()
    port = int(s.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port)) as c:
        c.sendall(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert c.recv(100).startswith(b"HTTP/1.1 200")
        with socket.create_connection(("127.0.0.1", port)) as half:
            half.sendall(b"POST /api/v1/databases HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
            begin = time.monotonic()
            assert s.stop() == 0
            assert time.monotonic() - begin < 5.0
