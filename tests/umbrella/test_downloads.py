"""Weights by address: each checked before it takes its name, whatever the server says of it."""

import base64
import hashlib
import io
import struct

import pytest
import torch
from file_server import serve
from mmengine.config import Config
from safetensors.torch import save

from convnextv2 import downloads
from convnextv2.engine import weights
from convnextv2.engine.inputs import fetch_checkpoints
from convnextv2.transfers import DownloadError


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


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://host/a.pth", "http:///a.pth"])
def test_only_http_is_asked(address, hub):
    with pytest.raises(ValueError, match=r"is no http\(s\) address"):
        downloads.fetch_weights(address)


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


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The user's folder of weights."""
    (tmp_path / "weights").mkdir()
    monkeypatch.setenv("CONVNEXTV2_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


def test_a_file_in_the_folder_of_weights_is_taken(hub, folder):
    """In the place of an address of its name, and no server is asked."""
    (folder / "x.pth").write_bytes(GOOD)
    with serve({"x.pth": weight_file(2), "y.pth": weight_file(3)}) as (address, asked):
        found = [weights.read_checkpoint(f"{address}/{name}") for name in ("x.pth?a=b", "y.pth")]
        assert [tensors["weight"][0].item() for tensors in found] == [1, 3]
        assert [path for path, _ in asked] == ["/y.pth"]
    assert len(kept(hub)) == 1


def test_a_hash_in_the_name_is_compared_in_the_folder_too(hub, folder):
    """And a damaged file of it is refused."""
    good, bad = (f"x-{digest[:8]}.pth" for digest in (SHA256, OTHER))
    for name in (good, bad, "damaged.pth"):
        (folder / name).write_bytes(GOOD)
    (folder / "damaged.pth").write_bytes(GOOD[:-100])
    assert downloads.fetch_weights(f"https://nowhere.invalid/{good}") == folder / good
    with pytest.raises(ValueError, match="damaged, or another"):
        downloads.fetch_weights(f"https://nowhere.invalid/{bad}")
    with pytest.raises(ValueError, match="is truncated"):
        weights.read_checkpoint("https://nowhere.invalid/damaged.pth")


def test_a_folder_of_weights_that_is_none_is_named(hub, folder):
    """Instead of a download that is not wanted."""
    folder.rmdir()
    with pytest.raises(ValueError, match=r"CONVNEXTV2_WEIGHTS=.*no such folder"):
        downloads.fetch_weights("https://nowhere.invalid/x.pth")


def test_without_a_network_the_last_three_lines_say_what_to_do(hub, monkeypatch):
    """Which file, where to put it, which option names it; put there, it is taken."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setenv("no_proxy", "*")
    address = "https://nowhere.invalid/a/x.pth"
    cfg = Config({"model": {"backbone": {"init_cfg": {"checkpoint": address}}}})
    with pytest.raises(DownloadError) as error:
        fetch_checkpoints(cfg)
    file, place, option = str(error.value).splitlines()[-3:]
    assert file == f"Which file is wanted: x.pth, from {address}"
    assert "CONVNEXTV2_WEIGHTS=FOLDER" in place
    assert "model.backbone.init_cfg.checkpoint=PATH" in option
    path = downloads.weights_path(address)
    assert place.endswith(f"or as {path}")  # not written to where a wrong sentence may say
    path.write_bytes(GOOD)
    assert downloads.fetch_weights(address) == path


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
