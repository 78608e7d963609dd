"""What can go wrong, as exceptions: the server's error envelope with its stable code, or no answer at all."""

from __future__ import annotations

from typing import Any, Mapping, Optional


class JadeError(Exception):
    """An answer with HTTP status >= 400. `code` is stable (e.g. DIMENSION_MISMATCH), the message is for people."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "UNKNOWN",
        status: int = 0,
        category: str = "",
        details: Optional[list[dict[str, Any]]] = None,
        retryable: bool = False,
        retry_after_ms: Optional[int] = None,
        request_id: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.category = category
        self.details = details or []
        self.retryable = retryable
        self.retry_after_ms = retry_after_ms
        self.request_id = request_id

    @property
    def fields(self) -> list[str]:
        """Names of the input fields that are to blame."""
        return [d["field"] for d in self.details if d.get("field")]

    def __str__(self) -> str:
        reasons = "; ".join(f"{d.get('field')}: {d.get('reason')}" for d in self.details)
        return f"{self.code} ({self.status}): {self.message}" + (f" [{reasons}]" if reasons else "")


class BadRequest(JadeError):
    """400, 405, 413, 415, 422: the request must be changed before it is sent again."""


class Unauthorized(JadeError):
    """401: no valid API key."""


class Forbidden(JadeError):
    """403: the key's scope does not allow it."""


class NotFound(JadeError):
    """404."""


class Conflict(JadeError):
    """409, 412: exists already, or another change came in between."""


class NotSupported(JadeError):
    """501: this build cannot do it yet; details name the field."""


class Unavailable(JadeError):
    """429, 503, 504: later may work; see retry_after_ms."""


class ConnectionFailed(JadeError):
    """No answer came: refused, broken or timed out. A write that ended so is unknown: applied or not."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="CONNECTION_FAILED", category="transient", retryable=True)


class JobFailed(JadeError):
    """A job that was waited for ended as failed or cancelled; `job` is its last description."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        error = job.get("error") or {}
        super().__init__(
            error.get("message") or f"job {job.get('operationId')} ended as {job.get('state')}",
            code=error.get("code") or str(job.get("state")).upper(),
        )
        self.job = dict(job)


_CLASSES = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    429: Unavailable,
    501: NotSupported,
    503: Unavailable,
    504: Unavailable,
}


def from_answer(status: int, body: Any, text: str) -> JadeError:
    """The exception for an answer; body is its JSON or None when it was not the envelope."""
    cls = _CLASSES.get(status, BadRequest if 400 <= status < 500 else JadeError)
    if not isinstance(body, dict) or not isinstance(body.get("error"), dict):
        return cls(text[:200] or f"HTTP status {status}", status=status)
    e = body["error"]
    return cls(
        str(body.get("message", "")),
        code=str(e.get("code", "UNKNOWN")),
        status=status,
        category=str(e.get("category", "")),
        details=e.get("details") or [],
        retryable=bool(e.get("retryable")),
        retry_after_ms=e.get("retryAfterMs"),
        request_id=(body.get("meta") or {}).get("requestId"),
    )
