"""Downloads go on where they broke off, and only the right and whole file takes its name."""

import base64
import hashlib
import io
import socket
import struct
import threading

import pytest
import torch
from file_server import serve
from safetensors.torch import save

from convnextv2 import downloads, transfers
from convnextv2.engine import weights
from convnextv2.engine.config import fetch_checkpoints
from convnextv2.transfers import DownloadError

CONTENT = bytes(range(256)) * 40
SHA1 = "sha1:" + hashlib.sha1(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """The seconds that would have been waited between tries."""
    waited = []
    monkeypatch.setattr(transfers.time, "sleep", waited.append)
    return waited


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The folder of downloaded weights."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "hub/checkpoints"


def weight_file(value, legacy=False):
    content = io.BytesIO()
    state = {"weight": torch.full((300,), float(value))}
    torch.save(state, content, _use_new_zipfile_serialization=not legacy)
    return content.getvalue()


def kept(folder):
    return [path.name for path in folder.iterdir() if path.suffix != ".lock"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on(tmp_path, ranges):
    with serve({"a.bin": CONTENT}, ranges, cut=1000) as (address, asked):
        downloads.download(f"{address}/a.bin", tmp_path / "new/a.bin", SHA1)
        assert asked == [("/a.bin", 0), ("/a.bin", 1000)]
        downloads.download(f"{address}/a.bin", tmp_path / "new/a.bin", SHA1)
        assert len(asked) == 2  # it was there
    assert (tmp_path / "new/a.bin").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.bin"]


def test_another_run_goes_on_and_a_wrong_file_is_named(tmp_path):
    download = downloads.download
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
        downloads.download(f"{address}/a.bin", path, None)
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
        downloads.download(f"{address}/a.bin", tmp_path / "a.bin", None)
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
        downloads.download(f"{address}/a.bin", tmp_path / "a.bin", None)
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
        downloads.download(f"{address}/a.bin", tmp_path / "a.bin", None)
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
            downloads.download(f"{address}/a.bin", tmp_path / "a.bin", None, attempts=2)
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
        downloads.download(f"{address}/a.bin", tmp_path / "a.bin", None)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://host/a.pth", "http:///a.pth"])
def test_only_http_is_asked(address, hub):
    with pytest.raises(ValueError, match=r"is no http\(s\) address"):
        downloads.fetch_weights(address)


def test_no_space_is_said_before_and_not_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(
        transfers.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 240})
    )
    with (
        serve({"a.bin": CONTENT}) as (address, asked),
        pytest.raises(OSError, match=r"No space.* 10000 bytes more are needed.*a\.bin\.part"),
    ):
        downloads.download(f"{address}/a.bin", tmp_path / "a.bin", None)
    assert len(asked) == 1


def test_weights_of_one_base_name_are_two_files(hub):
    files = {
        "a/x.pth": weight_file(1),
        "b/x.pth": weight_file(2),
        "c/x.safetensors?download=true": save({"weight": torch.full((300,), 3.0)}),
    }
    with serve(files) as (address, asked):
        for _ in range(2):
            for value, name in enumerate(files, 1):
                found = weights.read_checkpoint(f"{address}/{name}")
                assert found["weight"].unique().item() == value
        assert len(asked) == 3
    suffixes = sorted(name[12:] for name in kept(hub))
    assert suffixes == ["-x.pth", "-x.pth", "-x.safetensors"]


@pytest.mark.parametrize("name", ["..", "%2e%2e%2fx.pth", "a%00b.pth", ".ssh", "x" * 400 + ".pth"])
def test_names_of_addresses_stay_in_the_folder(name, hub):
    path = downloads.weights_path(f"http://host/{name}?a/b.zip")
    assert path.parent == hub
    assert len(path.name) < 120
    assert path.suffix == ("" if name in ("..", ".ssh") else ".pth") or name == ".ssh"


GOOD = weight_file(1)
SHA256 = hashlib.sha256(GOOD).hexdigest()
OTHER = hashlib.sha256(b"another").hexdigest()
TENSORS = save({"weight": torch.ones(300)})


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.pth", b"<!DOCTYPE html><html>Not found</html>", "is a web page and no weight file"),
        ("x.pth", b"", "is empty"),
        ("x.pth", b"version https://git-lfs", "is a pointer of Git LFS"),
        ("x.pth", GOOD[: len(GOOD) // 2], "is truncated or damaged"),
        ("x.pth", weight_file(1, legacy=True)[:300], "is truncated, or a pickle"),
        ("x.safetensors", TENSORS[:-7], "7 bytes are missing"),
        ("x.safetensors", TENSORS[:30], "is truncated, or no weight file"),
        ("x.safetensors", struct.pack("<Q", 4) + b"{{{{", "its header is damaged"),
        (f"x-{OTHER[:8]}.pth", GOOD, f"has the sha256 {SHA256}, expected {OTHER[:8]}"),
    ],
)
def test_what_is_no_weight_file_is_refused_and_not_kept(hub, name, content, reason):
    with (
        serve({name: content}) as (address, _),
        pytest.raises(ValueError, match=reason) as caught,
    ):
        downloads.fetch_weights(f"{address}/{name}")
    assert str(caught.value).startswith(f"{address}/{name} was refused")
    assert "\n" not in str(caught.value)
    assert kept(hub) == []


def as_text(digest):
    return base64.b64encode(digest).decode()


@pytest.mark.parametrize(
    "headers",
    [
        lambda content: {"X-SHA256": hashlib.sha256(content).hexdigest()},
        lambda content: {"X-Checksum-Sha256": hashlib.sha256(content).hexdigest().upper()},
        lambda content: {"X-Linked-ETag": f'"{hashlib.sha256(content).hexdigest()}"'},
        lambda content: {"Digest": "SHA-256=" + as_text(hashlib.sha256(content).digest())},
        lambda content: {"Repr-Digest": f"sha-256=:{as_text(hashlib.sha256(content).digest())}:"},
        lambda content: {
            "X-Goog-Hash": "crc32c=AAAAAA==,md5=" + as_text(hashlib.md5(content).digest())
        },
    ],
)
def test_the_hash_that_a_server_states_is_compared(hub, headers):
    def answer(handler, count):
        stated = headers(GOOD if "right" in handler.path else b"another")
        handler.reply(200, GOOD, {"Content-Length": str(len(GOOD)), **stated})
        return True

    with serve({}, answer=answer) as (address, _):
        assert downloads.fetch_weights(f"{address}/right.pth").read_bytes() == GOOD
        with pytest.raises(ValueError, match=r"has the (sha256|md5) .*, expected"):
            downloads.fetch_weights(f"{address}/wrong.pth")
    assert len(kept(hub)) == 1


def test_the_hash_of_a_redirect_is_compared(hub):
    def answer(handler, count):
        if handler.path == "/x.pth":
            handler.reply(302, b"", {"Location": "/cdn", "X-Linked-ETag": f'"{OTHER}"'})
        return handler.path == "/x.pth"

    with (
        serve({"cdn": GOOD}, answer=answer) as (address, _),
        pytest.raises(ValueError, match=f"expected {OTHER}"),
    ):
        downloads.fetch_weights(f"{address}/x.pth")


def test_what_is_taken_by_path_is_taken_by_address(hub, tmp_path):
    files = {
        "new.pth": GOOD,
        "old.pth": weight_file(1, legacy=True),
        "x.safetensors": TENSORS,
        f"x-{SHA256[:8]}.pth": GOOD,
        "x-20240131.pth": GOOD,  # a date and no hash
        "none": GOOD,
    }
    with serve(files, cut=100) as (address, _):
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
            assert list(weights.read_checkpoint(str(tmp_path / name))) == ["weight"]
            assert list(weights.read_checkpoint(f"{address}/{name}")) == ["weight"]


def test_an_old_file_without_an_end_is_refused(hub):
    def answer(handler, count):
        handler.reply(200, weight_file(1, legacy=True)[:-100], {})
        return True

    with (
        serve({}, answer=answer) as (address, _),
        pytest.raises(ValueError, match="does not say its length"),
    ):
        downloads.fetch_weights(f"{address}/x.pth")
    assert kept(hub) == []


def test_what_a_killed_download_left_is_removed(hub):
    with serve({"x.pth": GOOD}) as (address, _):
        path = downloads.weights_path(f"{address}/x.pth")
        hub.mkdir(parents=True)
        (hub / f".{path.name}.123.partial").write_bytes(b"half")
        downloads.fetch_weights(f"{address}/x.pth")
    assert kept(hub) == [path.name]


def test_all_processes_raise_where_one_failed(monkeypatch):
    monkeypatch.setattr("mmengine.dist.is_distributed", lambda: True)
    monkeypatch.setattr("mmengine.dist.get_local_rank", lambda: 1)
    monkeypatch.setattr("mmengine.dist.all_gather_object", lambda own: ["no such file", own])
    with pytest.raises(DownloadError, match="no such file"):
        downloads.once_a_machine(lambda: pytest.fail("local rank 1 is to wait"))


def test_the_runner_gets_a_path_for_an_address(hub):
    from mmengine.config import Config

    init_cfg = {"type": "Pretrained"}
    with serve({"x.pth": GOOD, "y.pth": GOOD}) as (address, asked):
        init_cfg["checkpoint"] = f"{address}/y.pth"
        cfg = Config({"load_from": f"{address}/x.pth", "model": {"backbone": {}}})
        cfg.model.backbone.init_cfg = init_cfg
        fetch_checkpoints(cfg)
        assert [path for path, _ in asked] == ["/y.pth", "/x.pth"]
        assert cfg.model.backbone.init_cfg.checkpoint == f"{address}/y.pth"
        assert cfg.load_from == str(downloads.weights_path(f"{address}/x.pth"))
    with open(cfg.load_from, "rb") as file:
        assert file.read() == GOOD
    for given in (None, "a/path.pth"):
        cfg = Config({"load_from": given, "model": {"backbone": {"init_cfg": None}}})
        fetch_checkpoints(cfg)
        assert cfg.load_from == given
