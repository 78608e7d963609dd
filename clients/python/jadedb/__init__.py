"""Client of JadeVectorDB over its REST API: standard library only, typed, safe to share between threads."""

from .client import Client, Database
from .errors import (
    BadRequest,
    Conflict,
    ConnectionFailed,
    Forbidden,
    JadeError,
    JobFailed,
    NotFound,
    NotSupported,
    Unauthorized,
    Unavailable,
)

__version__ = "0.1.0"
__all__ = [
    "BadRequest",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "Database",
    "Forbidden",
    "JadeError",
    "JobFailed",
    "NotFound",
    "NotSupported",
    "Unauthorized",
    "Unavailable",
]
