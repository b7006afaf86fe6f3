"""What a server takes from a client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class LimitedBody:
    """ASGI middleware that answers 413 to requests of more bytes than a limit.

    Args:
        app: The application.
        most: Bytes of a body.
    """

    def __init__(self, app: Callable, most: int) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: dict, receive: Receive, send: Send) -> None:
        """Pass a request on, and count what comes."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self.most:
            await _refuse(send)
            return
        count = 0

        async def counted() -> Message:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > self.most:  # of a body whose length was not said
                return {"type": "http.disconnect"}
            return message

        await self.app(scope, counted, send)


async def _refuse(send: Send) -> None:
    start = {"type": "http.response.start", "status": 413}
    await send({**start, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"more bytes than this page takes"})
