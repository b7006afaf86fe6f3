"""Images in tar shards are those of a folder: all of them, in any number of processes."""

import functools
import http.server
import io
import itertools
import tarfile
import threading

import cv2
import numpy as np
import pytest

from convnextv2.engine.seeding import SeededInfiniteSampler, SeededSampler
from convnextv2.images import UnreadableImageError
from convnextv2.pretrain import UnlabelledImages, UnlabelledShards

PIPELINE = [{"type": "convnextv2.LoadImage"}]


@pytest.fixture
def folder(tmp_path):
    """17 images in a folder and the same in three shards of different sizes, with labels."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    members = []
    for i in range(17):
        name = f"{i:04}.{'jpg' if i % 2 else 'png'}"
        content = cv2.imencode(name[4:], rng.integers(0, 256, (40, 50, 3), dtype=np.uint8))[1]
        (tmp_path / "images" / name).write_bytes(content)
        members.append((name, content.tobytes()))
        members.append((name[:5] + "cls", b"3"))
    for shard, part in enumerate((members[:6], members[6:24], members[24:])):
        write_shard(tmp_path / f"train-{shard:02}.tar", part)
    return tmp_path


def write_shard(path, members):
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def epochs(sampler):
    """The indices of one epoch after the other."""
    for epoch in itertools.count():
        if isinstance(sampler, SeededSampler):
            sampler.set_epoch(epoch)
        yield from sampler


def names(dataset, indices):
    return [dataset.get_data_info(i)["img_path"].rsplit("/", 1)[1] for i in indices]


def test_shards_hold_the_images_of_the_folder(folder):
    images = UnlabelledImages(str(folder / "images"), PIPELINE)
    shards = UnlabelledShards(str(folder / "train-{00..02}.tar"), PIPELINE)
    assert len(shards) == len(images) == 17
    for a, b in zip(images, shards, strict=True):
        np.testing.assert_array_equal(a["img"], b["img"])


@pytest.mark.parametrize("sampler", [SeededSampler, SeededInfiniteSampler])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_processes_neither_drop_nor_repeat(folder, monkeypatch, sampler, world_size):
    dataset = UnlabelledShards([str(folder / f"train-{i:02}.tar") for i in range(3)], PIPELINE)
    streams = []
    for rank in range(world_size):
        monkeypatch.setattr(
            "mmengine.dataset.sampler.get_dist_info", lambda rank=rank: (rank, world_size)
        )
        streams.append(itertools.islice(epochs(sampler(dataset, seed=1)), 17 * 2))
    # What the processes draw in turns: each pass over the data set holds every image once, also
    # where 17 does not divide.
    drawn = [index for turn in zip(*streams, strict=True) for index in turn]
    assert len(drawn) == 17 * 2 * world_size
    for start in range(0, len(drawn), 17):
        assert sorted(drawn[start : start + 17]) == list(range(17))
    assert drawn[:17] != drawn[17:34]  # shuffled anew
    assert len(set(names(dataset, drawn[:17]))) == 17


def test_addresses_are_copied_once(folder, monkeypatch):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    address = f"http://127.0.0.1:{server.server_port}/train-{{00..02}}.tar"
    try:
        first = UnlabelledShards(address, PIPELINE, cache_dir=str(folder / "cache"))
        with pytest.raises(ValueError, match=r"missing\.tar could not be copied"):
            UnlabelledShards(
                f"http://127.0.0.1:{server.server_port}/missing.tar",
                PIPELINE,
                cache_dir=str(folder / "cache"),
            )
    finally:
        server.shutdown()
        server.server_close()
    again = UnlabelledShards(address, PIPELINE, cache_dir=str(folder / "cache"))
    assert len(first) == len(again) == 17
    assert names(again, range(17)) == sorted(names(again, range(17)))
    assert [path.name for path in (folder / "cache").glob(".*")] == []  # no partial copies


def test_damaged_members_and_shards_are_named(folder):
    write_shard(folder / "bad.tar", [("a.jpg", b""), ("b.png", b"no image")])
    bad = UnlabelledShards(str(folder / "bad.tar"), PIPELINE)
    with pytest.raises(UnreadableImageError, match=r"bad\.tar/a\.jpg: the file is empty"):
        bad.prepare_data(0)
    with pytest.raises(UnreadableImageError, match=r"bad\.tar/b\.png: truncated, or no image"):
        bad.prepare_data(1)

    whole = (folder / "train-01.tar").read_bytes()
    for length in (10, 512, len(whole) // 3 // 512 * 512, len(whole) // 2, len(whole) - 10240):
        (folder / "cut.tar").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut\.tar is no tar file, compressed, or truncated"):
            UnlabelledShards(str(folder / "cut.tar"), PIPELINE)
    with pytest.raises(FileNotFoundError, match=r"none\.tar does not exist"):
        UnlabelledShards(str(folder / "none.tar"), PIPELINE)
    write_shard(folder / "labels.tar", [("a.cls", b"1")])
    with pytest.raises(ValueError, match=r"no images in .*labels\.tar"):
        UnlabelledShards(str(folder / "labels.tar"), PIPELINE)
