"""What a server takes from a client."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Limits:
    """ASGI middleware that refuses requests of more bytes than a limit, and addresses for files.

    gradio would fetch an address that stands in the place of a file, and decode a file that lies in
    a message; files have to be uploaded.

    Args:
        app: The application.
        most: Bytes of a body.
    """

    def __init__(self, app: Callable, most: int) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: dict, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 413 or 400."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self.most:
            await _refuse(send, 413, "more bytes than this page takes")
            return
        receive = _Counted(receive, self.most)
        if not _is_upload(scope):
            body = await _read(receive)
            if body is None or _has_address(body):
                await _refuse(send, 400, "files have to be uploaded; addresses are not fetched")
                return
            receive = _Replayed(receive, body)
        await self.app(scope, receive, send)


class _Counted:
    """Messages of a request, which is ended where it is too long: its length may be a lie."""

    def __init__(self, receive: Receive, most: int) -> None:
        self.receive, self.left = receive, most

    async def __call__(self) -> Message:
        message = await self.receive()
        self.left -= len(message.get("body", b""))
        return message if self.left >= 0 else {"type": "http.disconnect"}


class _Replayed:
    """A body that was read, once more."""

    def __init__(self, receive: Receive, body: bytes) -> None:
        self.receive, self.body, self.given = receive, body, False

    async def __call__(self) -> Message:
        if self.given:
            return await self.receive()
        self.given = True
        return {"type": "http.request", "body": self.body, "more_body": False}


def _is_upload(scope: dict) -> bool:
    """Whether the body is of files; any other is looked at, whatever it calls itself."""
    kinds = [value.lower() for name, value in scope["headers"] if name == b"content-type"]
    return len(kinds) == 1 and kinds[0].startswith(b"multipart/form-data")


async def _read(receive: Receive) -> bytes | None:
    """A whole body; None if it ended too early."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _has_address(body: bytes) -> bool:
    """Whether a message names an address, or holds data, in the place of a file."""
    try:
        rest = [json.loads(body)] if body else []
    except (ValueError, RecursionError):
        return True  # what gradio reads in it, nobody knows
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            path, url = value.get("path"), value.get("url")
            if isinstance(path, str) and ("://" in path or path.startswith("data:")):
                return True
            if isinstance(url, str) and url.startswith("data:"):
                return True
            rest += value.values()
        elif isinstance(value, list):
            rest += value
    return False


async def _refuse(send: Send, status: int, text: str) -> None:
    start = {"type": "http.response.start", "status": status}
    await send({**start, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": text.encode()})
