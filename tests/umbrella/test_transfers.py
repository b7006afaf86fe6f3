"""Downloads go on where they broke off, and only the right and whole file takes its name."""

import hashlib
import socket
import struct
import threading

import pytest
from file_server import serve

from convnextv2 import transfers
from convnextv2.downloads import download
from convnextv2.transfers import DownloadError

CONTENT = bytes(range(256)) * 40
SHA1 = "sha1:" + hashlib.sha1(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """The seconds that would have been waited between tries."""
    waited = []
    monkeypatch.setattr(transfers.time, "sleep", waited.append)
    return waited


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on(tmp_path, ranges):
    with serve({"a.bin": CONTENT}, ranges, cut=1000) as (address, asked):
        download(f"{address}/a.bin", tmp_path / "new/a.bin", SHA1)
        assert asked == [("/a.bin", 0), ("/a.bin", 1000)]
        download(f"{address}/a.bin", tmp_path / "new/a.bin", SHA1)
        assert len(asked) == 2  # it was there
    assert (tmp_path / "new/a.bin").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.bin"]


def test_another_run_goes_on_and_a_wrong_file_is_named(tmp_path):
    with serve({"a.bin": CONTENT}, cut=1000) as (address, asked):
        with pytest.raises(DownloadError, match=r"broke off after 1000 bytes.*goes on from there"):
            download(f"{address}/a.bin", tmp_path / "a.bin", SHA1, attempts=1)
        download(f"{address}/a.bin", tmp_path / "a.bin", SHA1)
        assert asked[-1] == ("/a.bin", 1000)
        (tmp_path / "b.bin.part").write_bytes(CONTENT)  # complete, but not yet renamed
        download(f"{address}/a.bin", tmp_path / "b.bin", SHA1)
        assert (tmp_path / "b.bin").read_bytes() == CONTENT
        (tmp_path / "c.bin.part").write_bytes(b"another file")
        with pytest.raises(
            ValueError, match=r"c\.bin\.part has the sha1 .*, expected .*fetch it again"
        ):
            download(f"{address}/a.bin", tmp_path / "c.bin", SHA1)
        (tmp_path / "d.bin.part").write_bytes(CONTENT + b"more than the file has")
        download(f"{address}/a.bin", tmp_path / "d.bin", SHA1)
        assert (tmp_path / "d.bin").read_bytes() == CONTENT
        assert not list(tmp_path.glob("c.bin*"))
        with pytest.raises(DownloadError, match="the server says HTTP Error 404"):
            download(f"{address}/none.bin", tmp_path / "e.bin", None)


def lie(status=200, content=b"", first=99, **headers):
    """An answer to the first requests, `headers` with _ for -."""

    def answer(handler, count):
        if count <= first:
            handler.reply(status, content, {k.replace("_", "-"): v for k, v in headers.items()})
        return count <= first

    return answer


@pytest.mark.parametrize(
    ("answer", "tries", "waited"),
    [
        (lie(503, first=2), 3, [1, 2]),
        (lie(429, first=1, Retry_After="7"), 2, [7]),
        (lie(206, CONTENT, first=1, Content_Range="bytes 0-99/100"), 2, [1]),  # nobody asked
        (lie(200, CONTENT[:5], first=1, Content_Length="99999"), 2, [1]),
        (lie(200, b"5\r\nabcde\r\n", first=1, Transfer_Encoding="chunked"), 2, [1]),
    ],
)
def test_what_may_pass_is_tried_again(tmp_path, waits, answer, tries, waited):
    path = tmp_path / "a.bin"
    with serve({"a.bin": CONTENT}, ranges=False, answer=answer) as (address, asked):
        download(f"{address}/a.bin", path, None)
    assert path.read_bytes() == CONTENT
    assert (len(asked), waits) == (tries, waited)


@pytest.mark.parametrize(
    ("answer", "tries", "reason"),
    [
        (lie(503), 5, "5 times tried: the server says HTTP Error 503"),
        (lie(429, Retry_After="3600"), 1, "429.*to ask in 3600 s"),
        (lie(403), 1, "the server says HTTP Error 403"),
        (lie(204), 1, "the server says 204, with no file"),
        (lie(302, Location="/a.bin"), 5, "the server says HTTP Error 302.*infinite loop"),
        (lie(302, Location="ftp://127.0.0.1/a.bin"), 1, "redirected from http to ftp"),
        (lie(302, Location="file:///etc/passwd"), 1, "file:///etc/passwd. is not allowed"),
        (lie(200, b"x", Content_Length="1", Content_Encoding="gzip"), 1, "the server packs"),
        (lie(200, b"short", Content_Length="99"), 5, "94 bytes are missing|sent a part"),
    ],
)
def test_a_server_that_does_not_give_the_file_is_named(tmp_path, answer, tries, reason):
    with (
        serve({}, answer=answer) as (address, asked),
        pytest.raises(DownloadError, match=reason) as caught,
    ):
        download(f"{address}/a.bin", tmp_path / "a.bin", None)
    assert len(asked) == tries
    assert "\n" not in str(caught.value)
    assert f"{address}/a.bin" in str(caught.value)
    assert not (tmp_path / "a.bin").exists()


@pytest.mark.parametrize(
    "stated", ["bytes 0-99/10240", "bytes 1000-10239/99999", "bytes */10240", "nonsense", ""]
)
def test_another_part_than_asked_for_is_not_taken(tmp_path, stated):
    def answer(handler, count):
        if count == 2:
            handler.reply(206, b"x" * 9240, {"Content-Range": stated, "Content-Length": "9240"})
        return count == 2

    with serve({"a.bin": CONTENT}, cut=1000, answer=answer) as (address, asked):
        download(f"{address}/a.bin", tmp_path / "a.bin", None)
    assert asked == [("/a.bin", 0), ("/a.bin", 1000), ("/a.bin", 0)]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_file_that_changes_on_its_server_is_not_mixed(tmp_path):
    other = bytes(reversed(CONTENT))

    def answer(handler, count):
        etag = '"new"' if count > 1 else '"old"'
        headers = {"ETag": etag, "Content-Length": str(len(CONTENT))}
        if handler.headers.get("If-Range", etag) == etag:
            assert count == 1
        handler.reply(200, CONTENT[:1000] if count == 1 else other, headers)
        return True

    with serve({}, answer=answer) as (address, _):
        download(f"{address}/a.bin", tmp_path / "a.bin", None)
    assert (tmp_path / "a.bin").read_bytes() == other


@pytest.mark.parametrize("in_headers", [True, False])
def test_a_server_that_drips_is_given_up(tmp_path, monkeypatch, in_headers):
    monkeypatch.setattr(transfers, "PATIENCE", 0.2)
    done = threading.Event()

    def answer(handler, count):
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n" + (b"X-A: " if in_headers else b"\r\n"))
        while not done.wait(0.05):
            try:
                handler.wfile.write(b"x")
            except OSError:
                break
        return True

    with serve({}, answer=answer) as (address, _):
        reason = "no answer in 0.2 seconds" if in_headers else "less than 1000 bytes a second"
        with pytest.raises(DownloadError, match=reason):
            download(f"{address}/a.bin", tmp_path / "a.bin", None, attempts=2)
        done.set()


def test_a_connection_that_is_reset_is_tried_again(tmp_path):
    def answer(handler, count):
        if count == 1:
            handler.send_response(200)
            handler.end_headers()
            linger = struct.pack("ii", 1, 0)  # close by a reset
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            handler.connection.close()
        return count == 1

    with serve({"a.bin": CONTENT}, answer=answer) as (address, _):
        download(f"{address}/a.bin", tmp_path / "a.bin", None)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_no_space_is_said_before_and_not_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(
        transfers.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 240})
    )
    with (
        serve({"a.bin": CONTENT}) as (address, asked),
        pytest.raises(OSError, match=r"No space.* 10000 bytes more are needed.*a\.bin\.part"),
    ):
        download(f"{address}/a.bin", tmp_path / "a.bin", None)
    assert len(asked) == 1
