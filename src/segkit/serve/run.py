"""Listening until a signal ends it."""

import errno
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn

from segkit.errors import SegkitError
from segkit.inference.predictor import Predictor
from segkit.serve.app import create_app
from segkit.serve.limits import Limits

_GRACE_S = 30
"""How long requests may take after the signal."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 is a free one.

    Raises:
        SegkitError: the port is taken, or host or port cannot be used.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((str(address[0]), port), family=family)
    except (OSError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise SegkitError(f"--port: {port} of {host} is in use; 0 takes a free one") from None
        told = getattr(error, "strerror", None) or error
        raise SegkitError(f"--host {host} --port {port}: cannot listen there ({told})") from None


def serve(
    predictor: Predictor, checkpoint: Path, listener: socket.socket, limits: Limits, *, origins: Sequence[str] = ()
) -> None:
    """Answers until SIGINT or SIGTERM; what was asked before that is answered, then this returns.

    Args:
        predictor: what answers.
        checkpoint: its file, of which the name is told.
        listener: of :func:`listen`.
        limits: of a request.
        origins: web sites whose pages may ask.
    """
    config = predictor.config
    facts: dict[str, Any] = {
        "checkpoint": checkpoint.name,
        "head": config.head.type,  # type: ignore[attr-defined]
        "backbone": config.backbone.type,  # type: ignore[attr-defined]
    }
    app = create_app(predictor, facts, limits, origins=origins)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=_GRACE_S))
    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn raises them again after its end, which is a clean one
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listener])
