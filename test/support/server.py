"""
A real jadevectordb process for tests and benchmarks: started on a free port of 127.0.0.1, ready when it says so, stopped or killed.

    with Server(folder) as s:
        s.client().create_database("a", 3)

The program is JADE_BIN, else build/bin/jadevectordb of the repository. One process at a time; start() again after stop() or kill()
keeps the data folder. Logs (standard error) go to <folder>.log, so that a full pipe never stops the server.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Optional

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "clients" / "python"))

from jadedb import Client  # noqa: E402

ADMIN_KEY = "test-admin-key-0123456789abcdef"
READY_S = 60.0


def program(name: str = "jadevectordb") -> Path:
    """The binary under test."""
    given = os.environ.get("JADE_BIN")
    path = Path(given) if given else ROOT / "build" / "bin" / "jadevectordb"
    path = path if name == "jadevectordb" else path.parent / name
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: `make build` first, or name the server with JADE_BIN")
    return path


def environment(**more: Optional[str]) -> dict[str, str]:
    """Ours without JADE_* settings of the caller, which would change what is tested. None takes a variable away."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("JADE_")}
    env.update(JADE_ADMIN_KEY=ADMIN_KEY)
    env.update(more)
    return {k: v for k, v in env.items() if v is not None}


class Server:
    """flags: further words of the command line; env: further settings (JADE_SEAL_MIB="1")."""

    def __init__(self, data: Path, *flags: str, listen: str = "127.0.0.1:0", wrap: tuple = (), **env: Optional[str]) -> None:
        self.data = Path(data)
        self.log = self.data.with_name(self.data.name + ".log")
        self.command = [*wrap, str(program()), "--data", str(data), "--listen", listen, *flags]
        self.env = environment(**env)
        self.process: Optional[subprocess.Popen] = None
        self.url = ""
        self.started_s = 0.0  # time the last start took until it listened
        self.output: list[str] = []  # lines of standard output since the last start
        self._reader: Optional[threading.Thread] = None
        self._clients: list[Client] = []

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> "Server":
        """Returns when it listens. Raises RuntimeError with what it said when it does not."""
        begin = time.monotonic()
        self.output = []
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
            )
        ready = threading.Event()
        process = self.process

        def read() -> None:
            for line in process.stdout:
                self.output.append(line)
                found = re.search(r"listening on (http://\S+)", line)
                if found:
                    self.url = found.group(1)
                    self.started_s = time.monotonic() - begin
                    ready.set()
            ready.set()

        self.url = ""
        self._reader = threading.Thread(target=read, daemon=True)
        self._reader.start()
        if not ready.wait(READY_S) or not self.url:
            process.kill()
            process.wait()
            self._reader.join()
            raise RuntimeError(f"the server did not start: {''.join(self.output)}{self.log_text()[-2000:]}")
        return self

    def client(self, key: Optional[str] = ADMIN_KEY, timeout: float = 60.0) -> Client:
        """A new client of the running server; closed when it stops. key "" = none."""
        c = Client(self.url, key, timeout=timeout)
        self._clients.append(c)
        return c

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait(self, timeout: float = 30.0) -> int:
        """Exit code of a process that is ending by itself."""
        code = self.process.wait(timeout)
        self._ended()
        return code

    def stop(self, timeout: float = 30.0) -> int:
        """SIGTERM; its exit code. 0 when nothing runs."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL: no destructor, no flush."""
        self.process.kill()
        self.process.wait()
        self._ended()

    def _ended(self) -> None:
        self._reader.join(10)
        self.process.stdout.close()
        self.process = None
        for c in self._clients:
            c.close()
        self._clients.clear()


def run_to_end(*flags: str, timeout: float = 30.0, **env: Optional[str]) -> subprocess.CompletedProcess:
    """A start that is expected to end by itself: exit code, stdout, stderr."""
    return subprocess.run(
        [str(program()), *flags], env=environment(**env), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
    )
