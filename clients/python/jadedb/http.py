"""One kept-alive HTTP/1.1 connection a thread."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from typing import Mapping, Optional
from urllib.parse import urlsplit

from .errors import ConnectionFailed


class Transport:
    """
    Sends requests to one server. Threads: any; each has its own connection, opened at its first request and again after the server
    closed it. close() closes those of all threads.
    """

    def __init__(self, url: str, timeout: float) -> None:
        parts = urlsplit(url if "//" in url else "http://" + url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"expected http://HOST:PORT or https://HOST:PORT, got {url!r}")
        self._secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port or (443 if self._secure else 7433)
        self._prefix = parts.path.rstrip("/")
        self._timeout = timeout
        self._local = threading.local()
        self._lock = threading.Lock()
        self._all: set[http.client.HTTPConnection] = set()

    def _connection(self) -> tuple[http.client.HTTPConnection, bool]:
        """This thread's connection and whether it was used before."""
        c: Optional[http.client.HTTPConnection] = getattr(self._local, "connection", None)
        if c is not None and c.sock is not None:
            return c, True
        if c is None:
            if self._secure:
                c = http.client.HTTPSConnection(
                    self._host, self._port, timeout=self._timeout, context=ssl.create_default_context()
                )
            else:
                c = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
            self._local.connection = c
            with self._lock:
                self._all.add(c)
        try:
            c.connect()
            c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as e:
            c.close()
            raise ConnectionFailed(f"cannot connect to {self._host}:{self._port}: {e}") from e
        return c, False

    def send(
        self, method: str, path: str, body: Optional[bytes], headers: Mapping[str, str], repeatable: bool
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of the answer. Raises ConnectionFailed when none came."""
        for attempt in range(2):
            c, used = self._connection()
            try:
                c.request(method, self._prefix + path, body=body, headers=dict(headers))
                r = c.getresponse()
                return r.status, r.headers, r.read()
            except (http.client.HTTPException, OSError) as e:
                c.close()
                # A server may close a connection that idled; only then, and only what is safe to repeat, is sent again.
                stale = isinstance(e, (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError))
                if used and attempt == 0 and stale and repeatable:
                    continue
                raise ConnectionFailed(f"{method} {path}: {type(e).__name__}: {e}") from e
        raise AssertionError("unreachable")

    def close(self) -> None:
        with self._lock:
            for c in self._all:
                c.close()
            self._all.clear()
        self._local = threading.local()
