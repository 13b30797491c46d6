"""What a request may ask for: bounded uploads, and a bounded number of them at a time."""

import asyncio
import time
from dataclasses import dataclass

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LINGER_S = 2.0
"""How long the rest of a refused upload is read and dropped: a client hears an answer only when it has sent all."""
_FORM_BYTES = 4096
"""What a form adds to its file."""


@dataclass(frozen=True)
class Limits:
    """Bounds of what the server takes on.

    Attributes:
        max_bytes: of a file.
        max_pixels: of an image.
        max_waiting: predictions that are being sent, wait or run; one more is told to come back.
        upload_s: seconds that an upload may take.
    """

    max_bytes: int
    max_pixels: int
    max_waiting: int = 16
    upload_s: float = 60.0


class Gate:
    """Middleware that refuses uploads which are too large, too slow or too many, before anything keeps them."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app = app
        self.limits = limits
        self.inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        body = _Body(scope, receive, self.limits)
        if self.inside >= self.limits.max_waiting:
            await body.drop()
            told = f"busy: {self.limits.max_waiting} predictions are waiting; try again soon"
            await JSONResponse({"error": told}, 503, {"Retry-After": "1"})(scope, receive, send)
            return
        self.inside += 1
        try:
            await self.app(scope, body.receive, send)
        finally:
            self.inside -= 1


class _Body:
    """The body of a request, counted while it comes."""

    def __init__(self, scope: Scope, receive: Receive, limits: Limits) -> None:
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        self.declared = int(length) if length.isdigit() else 0
        self.asks_first = headers.get(b"expect", b"").lower() == b"100-continue"
        self.source = receive
        self.limits = limits
        self.most = limits.max_bytes + _FORM_BYTES
        self.seen = 0
        self.is_whole = False
        self.deadline = time.monotonic() + limits.upload_s

    async def receive(self) -> Message:
        """The next part.

        Raises:
            HTTPException: 413 above the limit, 408 after the time.
        """
        if self.is_whole:
            return await self.source()
        if self.declared <= self.most:
            message = await self._next(self.deadline)
            if message is None:
                raise HTTPException(408, f"the upload took longer than {self.limits.upload_s:g} s")
            self.seen += len(message.get("body", b""))
            if self.seen <= self.most:
                return message
        await self.drop()
        raise HTTPException(413, f"the upload is larger than {self.limits.max_bytes / 1e6:g} MB")

    async def drop(self) -> None:
        """Reads what comes and keeps none of it, for a moment; nothing of a client that asks before it sends."""
        deadline = time.monotonic() + _LINGER_S
        while not (self.is_whole or self.asks_first) and await self._next(deadline) is not None:
            pass

    async def _next(self, deadline: float) -> Message | None:
        """The next part; None after the deadline."""
        try:
            message = await asyncio.wait_for(self.source(), max(deadline - time.monotonic(), 0))
        except TimeoutError:
            return None
        self.is_whole = not message.get("more_body", False)
        return message
