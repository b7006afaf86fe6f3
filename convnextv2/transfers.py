"""One file over http(s), however its server behaves: resumed, tried again, or given up in time."""

import base64
import binascii
import errno
import http.client
import os
import queue
import re
import shutil
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

BLOCK = 2**18
PATIENCE = 60  # seconds, in which a server must answer, and then send
SLOWEST = 1000  # bytes a second
LONGEST_WAIT = 60  # seconds that a server may ask for
PASSING = (408, 429, 500, 502, 503, 504)  # what another try may not meet again

Report = Callable[[int, int | None], object]


class DownloadError(OSError):
    """A server does not give a file, or not the right one."""


class Transfer:
    """A file on its way from an address to a path, which may hold its beginning.

    Args:
        address: http or https; redirects may not lead from https to http.
        part: Written to. What is there is gone on from where the server can do so.
        attempts: How often to ask. Refusals that will not change are not asked about again.

    Attributes:
        digests: ``KIND:HEX`` of the whole file, as the server's headers have them.
        measured: Whether the server made known where the file ends.

    Raises:
        ValueError: The address is no address.
    """

    def __init__(self, address: str, part: Path, attempts: int = 5) -> None:
        if not is_address(address) or not urllib.parse.urlsplit(address).hostname:
            raise ValueError(f"{address} is no http(s) address")
        self.address, self.part, self.attempts = address, part, attempts
        self.digests: list[str] = []
        self.measured = False
        self._total: int | None = None
        self._etag: str | None = None

    def run(self, report: Report = lambda done, total: None) -> None:
        """Fetch all of it.

        Args:
            report: Called with the bytes that are there and, if known, those of the whole.

        Raises:
            DownloadError: The server refuses, sends too slowly or something else than was asked
                for, or breaks off each time. What came is kept.
            OSError: The file cannot be written.
        """
        for attempt in range(self.attempts):
            try:
                return self._go_on(report)
            except _AgainError as error:
                wait = max(2**attempt, error.wait)
                if attempt == self.attempts - 1:
                    raise DownloadError(
                        f"{self.address} broke off after {size_of(self.part)} bytes, "
                        f"{self.attempts} times tried: {error}"
                    ) from error
                if wait > LONGEST_WAIT:
                    raise DownloadError(f"{self.address}: {error}, to ask in {wait} s") from error
                time.sleep(wait)

    def _go_on(self, report: Report) -> None:
        have = size_of(self.part)
        headers = {"Accept-Encoding": "identity", "User-Agent": "convnextv2-dense"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if self._etag:
                headers["If-Range"] = self._etag  # a file that changed is sent from its start
        redirects = _Redirects()
        answer = self._ask(headers, redirects)
        if isinstance(answer, urllib.error.HTTPError):
            self._refused(answer, have)
            return
        with answer:
            have = self._start(answer, have)
            self.digests = stated_digests(answer.headers) + redirects.digests
            self._need_space(have)
            self._copy(answer, have, report)

    def _ask(
        self, headers: dict[str, str], redirects: "_Redirects"
    ) -> http.client.HTTPResponse | urllib.error.HTTPError:
        address = urllib.parse.quote(self.address, safe="%/:=&?~#+!$,;'@()*[]")
        request = urllib.request.Request(address, headers=headers)
        try:
            return _open_in_time(urllib.request.build_opener(redirects), request)
        except urllib.error.HTTPError as error:
            return error
        except (http.client.InvalidURL, ssl.SSLCertVerificationError, ValueError) as error:
            raise DownloadError(f"{self.address}: {error}") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise DownloadError(f"{self.address}: {reason}") from error
            raise _AgainError(str(reason) or type(reason).__name__) from error

    def _refused(self, error: urllib.error.HTTPError, have: int) -> None:
        """Return if the file is complete, otherwise say why it is not sent."""
        error.close()
        if error.code == 416 and have:
            if error.headers.get("Content-Range", "").strip() == f"bytes */{have}":
                self.measured = True
                return
            self._start_over("the server's file does not have the part that is missing")
        if error.code in PASSING:
            after = error.headers.get("Retry-After", "")
            raise _AgainError(f"the server says {error}", int(after) if after.isdecimal() else 0)
        reason = " ".join(str(error).split())  # urllib's word on redirects has two lines
        raise DownloadError(f"{self.address}: the server says {reason}")

    def _start(self, answer: http.client.HTTPResponse, have: int) -> int:
        """Where in the file the answer begins, in bytes."""
        if answer.status not in (200, 206):
            raise DownloadError(f"{self.address}: the server says {answer.status}, with no file")
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise DownloadError(f"{self.address}: the server packs the file, which was not asked")
        length = answer.headers.get("Content-Length", "")
        etag = answer.headers.get("ETag")
        if answer.status == 200:  # all of it, also where a part was asked for
            have, self._total = 0, int(length) if length.isdecimal() else None
        else:
            stated = answer.headers.get("Content-Range", "")
            match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", stated.strip())
            total = int(match[2]) if match and match[2] != "*" else self._total
            same = self._total in (None, total) and (self._etag or etag) == etag
            if not have or not match or int(match[1]) != have or not same:
                self._start_over(f"the server sent {stated or 'a part'}, asked for {have}-")
            self._total = total
        self.measured = self._total is not None or bool(answer.chunked)
        self._etag = etag if etag and not etag.startswith("W/") else None
        return have

    def _start_over(self, reason: str) -> None:
        self.part.unlink(missing_ok=True)
        self._etag = self._total = None
        raise _AgainError(reason)

    def _need_space(self, have: int) -> None:
        missing = (self._total or 0) - have - shutil.disk_usage(self.part.parent).free
        if missing > 0:
            reason = f"{os.strerror(errno.ENOSPC)}, {missing} bytes more are needed"
            raise OSError(errno.ENOSPC, reason, str(self.part))

    def _copy(self, answer: http.client.HTTPResponse, have: int, report: Report) -> None:
        since, mark = time.monotonic(), have
        with open(self.part, "ab" if have else "wb") as file:
            while block := _read(answer):
                self._write(file, block)
                have += len(block)
                report(have, self._total)
                if self._total is not None and have > self._total:
                    file.close()
                    self._start_over(f"more than the {self._total} bytes of the file were sent")
                waited = time.monotonic() - since > PATIENCE
                if waited and have - mark < PATIENCE * SLOWEST:
                    raise _AgainError(f"less than {SLOWEST} bytes a second")
                if waited:
                    since, mark = time.monotonic(), have
        if self._total is not None and have != self._total:
            raise _AgainError(f"{self._total - have} bytes are missing")

    def _write(self, file: IO[bytes], block: bytes) -> None:
        try:
            file.write(block)
            file.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.part)) from error


def is_address(name: str) -> bool:
    """Whether it is an http(s) address and no path."""
    return name.lower().startswith(("http://", "https://"))


def size_of(path: Path) -> int:
    """Bytes of a file, 0 if it does not exist."""
    return path.stat().st_size if path.is_file() else 0


def stated_digests(headers: http.client.HTTPMessage) -> list[str]:
    """``KIND:HEX`` of a whole file, as its server's headers have them.

    Known are ``X-SHA256``, ``X-Checksum-SHA256`` (Artifactory), ``X-Linked-ETag`` (Hugging Face),
    ``Repr-Digest``, ``Digest`` and ``X-Goog-Hash``.
    """
    found = []
    for name in ("X-SHA256", "X-Checksum-SHA256", "X-Linked-ETag"):
        value = headers.get(name, "").strip().strip('"').lower()
        if re.fullmatch("[0-9a-f]{64}", value):  # small files of Hugging Face have git's SHA-1
            found.append(f"sha256:{value}")
    for name in ("Repr-Digest", "Digest"):
        for value in headers.get_all(name, []):
            if match := re.search(r"\bsha-256=:?([\w+/]{43}=)", value, re.IGNORECASE):
                found.append(f"sha256:{_hex(match[1])}")
    # Google states the hash of what it stores, which may be packed otherwise than what it sends.
    if headers.get("X-Goog-Stored-Content-Encoding", "identity") == "identity":
        for value in headers.get_all("X-Goog-Hash", []):
            if match := re.search(r"\bmd5=([\w+/]{22}==)", value):
                found.append(f"md5:{_hex(match[1])}")
    return sorted(set(found))


def _hex(text: str) -> str:
    return binascii.hexlify(base64.b64decode(text)).decode()


class _AgainError(Exception):
    """What another try may not meet again; `wait`: the seconds that the server asks for."""

    def __init__(self, reason: str, wait: int = 0) -> None:
        super().__init__(reason)
        self.wait = wait


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http(s) only, never out of https, and keeps what Hugging Face says on the way."""

    def __init__(self) -> None:
        self.digests: list[str] = []

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        scheme = urllib.parse.urlsplit(newurl).scheme
        if scheme not in ("https", req.type):
            raise ValueError(f"redirected from {req.type} to {scheme}, which is not followed")
        if value := headers.get("X-Linked-ETag"):
            linked = http.client.HTTPMessage()
            linked["X-Linked-ETag"] = value
            self.digests += stated_digests(linked)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open_in_time(
    opener: urllib.request.OpenerDirector, request: urllib.request.Request
) -> http.client.HTTPResponse:
    """The answer to a request, also where a server sends its headers byte by byte without an end.

    A socket's own time limit begins anew with each byte.
    """
    answers: queue.SimpleQueue[http.client.HTTPResponse | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(opener.open(request, timeout=PATIENCE))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=PATIENCE)
    except queue.Empty:
        raise TimeoutError(f"no answer in {PATIENCE} seconds") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _read(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read1(BLOCK)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _AgainError(str(error) or type(error).__name__) from error
