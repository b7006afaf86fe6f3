"""Whatever a file is, the reader gives an image of the right type or says why not, at once."""

import copy
import multiprocessing
import os
import pickle
import re
import resource
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from odd_files import DEEP, HUGE, ODD, PIXELS, TOO_LARGE, encode, patched
from torch.utils.data import DataLoader, Dataset

from convnextv2 import images
from convnextv2.engine.seeded_dataset import SeededDataset
from convnextv2.files import printable
from convnextv2.images import LoadImage, UnreadableImageError


def read(path, **options):
    return LoadImage(**options)({"img_path": str(path)})["img"]


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("name", ODD, ids=printable)
def test_odd_files_are_used_or_refused_with_the_reason(tmp_path, name, order):
    write, reason = ODD[name]
    path = tmp_path / name
    write(path)
    if reason is None:
        image = read(path, dtype="uint8", channel_order=order)
        assert image.dtype == np.uint8
        assert image.shape[2:] == (3,)
        assert image.flags.writeable
        assert image.flags.c_contiguous
    else:
        start = re.escape(printable(path))
        with pytest.raises(UnreadableImageError, match=f"^{start}: .*{reason}") as error:
            read(path, dtype="uint8", channel_order=order)
        str(error.value).encode()  # any log can hold it


@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "deep.npy", "big_endian.npy"])
def test_sixteen_bits_follow_one_rule_in_every_format(tmp_path, name):
    path = tmp_path / name
    ODD[name][0](path)
    assert np.array_equal(read(path), DEEP[..., ::-1])
    assert np.array_equal(read(path, dtype="uint16"), DEEP[..., ::-1])
    assert np.array_equal(read(path, dtype="uint8"), PIXELS[..., ::-1])
    assert np.array_equal(read(path, dtype="uint8", channel_order="bgr"), PIXELS)
    (tmp_path / "flat.png").write_bytes(encode(".png"))
    flat = read(tmp_path / "flat.png", dtype="uint16", channel_order="bgr")
    assert np.array_equal(flat, PIXELS.astype(np.uint16) * 257)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".webp"])
def test_bgr_is_what_mmcv_reads(tmp_path, suffix):
    transforms = pytest.importorskip("mmcv.transforms")
    path = tmp_path / f"a{suffix}"
    path.write_bytes(encode(suffix))
    expected = transforms.LoadImageFromFile()({"img_path": str(path)})
    got = LoadImage(channel_order="bgr", dtype="uint8")({"img_path": str(path)})
    assert expected.keys() == got.keys()
    assert np.array_equal(got["img"], expected["img"])
    assert got["img_shape"] == got["ori_shape"] == expected["ori_shape"] == (48, 64)


@pytest.mark.parametrize("workers", [0, 2])
def test_bits_that_are_left_out_are_said_once_with_the_file(tmp_path, monkeypatch, workers):
    for i in range(6):
        cv2.imwrite(str(tmp_path / f"{i}.png"), DEEP)
    log = tmp_path / "log"
    monkeypatch.setattr(images, "print_log", lambda text, **_: log.open("a").write(f"{text}\n"))

    class Images(Dataset):
        load = LoadImage(dtype="uint8")

        def __len__(self):
            return 6

        def __getitem__(self, i):
            return self.load({"img_path": str(tmp_path / f"{i}.png")})["img"].shape

    list(
        DataLoader(
            Images(), num_workers=workers, multiprocessing_context="fork" if workers else None
        )
    )
    (line,) = log.read_text().splitlines()
    assert re.search(
        r"\d\.png has 16 bits, of which the lower 8 are left out.*dtype='uint16'", line
    )
    # Nothing is said where nothing is lost, and copies are loaders too.
    log.unlink()
    for dtype in ("uint16", None):
        read(tmp_path / "0.png", dtype=dtype)
    assert not log.exists()
    pickle.loads(pickle.dumps(copy.deepcopy(LoadImage(dtype="uint8"))))(
        {"img_path": tmp_path / "0.png"}
    )
    assert log.exists()


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("channels", [3, 5])
def test_pages_that_were_written_one_by_one_are_channels(tmp_path, channels, compression):
    bands = np.random.default_rng(0).integers(0, 65536, (48, 64, channels), dtype=np.uint16)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for band in np.moveaxis(bands, -1, 0):
            file.write(band, photometric="minisblack", compression=compression)
        file.write(bands[:24, :32, 0], photometric="minisblack")  # an overview
    assert np.array_equal(read(tmp_path / "a.tif", in_channels=channels), bands)
    with pytest.raises(UnreadableImageError, match=f"{channels} channels, expected 1"):
        read(tmp_path / "a.tif", in_channels=1)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "b.tif").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableImageError):
        read(tmp_path / "b.tif", in_channels=channels)


def test_an_image_is_turned_as_its_exif_says(tmp_path):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(PIXELS).save(tmp_path / "turned.jpg", exif=exif)
    assert read(tmp_path / "turned.jpg").shape == (64, 48, 3)


def _read_in_little_memory(folder, answers):
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**27, used + 2**27))
    for name in [*HUGE, "claims.npy"]:
        try:
            read(folder / name)
        except UnreadableImageError as error:
            answers.put((name, str(error)))
    answers.put(None)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="measures on Linux")
def test_bombs_are_refused_by_their_header_before_memory_is_taken(tmp_path):
    """128 MB would hold none of them."""
    for name in [*HUGE, "claims.npy"]:
        ODD[name][0](tmp_path / name)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    process = context.Process(target=_read_in_little_memory, args=(tmp_path, answers))
    process.start()
    reasons = dict(iter(lambda: answers.get(timeout=60), None))
    process.join()
    assert reasons.keys() == {*HUGE, "claims.npy"}
    assert all(TOO_LARGE in reasons[name] for name in HUGE), reasons


@pytest.mark.parametrize("compression", ["zlib", "lzma"])
def test_a_strip_that_unpacks_to_more_than_its_pixels_is_refused(tmp_path, compression):
    """tifffile would unpack all of it, whatever the header says of the size."""
    path, stripes = tmp_path / "a.tif", np.zeros((5, 64, 64), np.uint8)
    options = {"photometric": "minisblack", "planarconfig": "separate", "rowsperstrip": 64}
    tifffile.imwrite(path, stripes, compression=compression, **options)
    assert read(path, in_channels=5).shape == (64, 64, 5)
    with tifffile.TiffFile(path) as file:
        tag = file.pages[0].tags["ImageLength"]
    content = bytearray(path.read_bytes())
    content[tag.valueoffset : tag.valueoffset + 2] = struct.pack("<H", 32)
    with tifffile.TiffFile(path) as file:
        tag = file.pages[0].tags["RowsPerStrip"]
    content[tag.valueoffset : tag.valueoffset + 2] = struct.pack("<H", 32)
    path.write_bytes(content)
    with pytest.raises(UnreadableImageError, match="unpacks to more than its pixels"):
        read(path, in_channels=5)


def test_grey_floats_are_repeated_as_other_greys_are(tmp_path):
    values = np.linspace(0, 300, 48, dtype=np.float32).reshape(6, 8)
    tifffile.imwrite(tmp_path / "a.tif", values)
    np.save(tmp_path / "a.npy", values)
    for name in ("a.tif", "a.npy"):
        assert np.array_equal(read(tmp_path / name), values[..., None].repeat(3, axis=2))


def test_a_file_larger_than_any_image_is_not_read(tmp_path):
    (tmp_path / "sparse.png").write_bytes(encode(".png"))
    os.truncate(tmp_path / "sparse.png", 2**40)
    with pytest.raises(UnreadableImageError, match=r"sparse\.png: 1099511627776 bytes, more than"):
        read(tmp_path / "sparse.png")


def test_other_words_on_standard_error_are_passed_on(tmp_path, capfd):
    (tmp_path / "good.jpg").write_bytes(patched(encode(".jpg"), 11, b"\x02"))
    (tmp_path / "bad.jpg").write_bytes(encode(".jpg"))
    ODD["warnings.jpg"][0](tmp_path / "bad.jpg")
    read(tmp_path / "good.jpg")
    with pytest.raises(UnreadableImageError):
        read(tmp_path / "bad.jpg")
    os.write(2, b"still there")
    words = capfd.readouterr().err
    assert words.startswith("Warning: unknown JFIF revision number 2.")
    assert words.endswith("still there")
    assert "Corrupt" not in words


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="'rgb' or 'bgr', not 'grb'"):
        LoadImage(channel_order="grb")
    with pytest.raises(ValueError, match="one of uint8, uint16, float32 or None, not 'int8'"):
        LoadImage(dtype="int8")


PIPELINE = [
    {"type": "convnextv2.LoadImage"},
    {"type": "convnextv2.RandomResizedCrop", "size": 32},
    {"type": "convnextv2.PackFCMAEInputs"},
]


@pytest.mark.parametrize("listed", [False, True])
def test_a_folder_of_all_of_them_is_loaded_in_batches(tmp_path, listed):
    """Found in the folder, or named by a list that holds more: two workers, one type of values."""
    for i in range(40):
        (tmp_path / f"{i}.jpg").write_bytes(encode(".jpg"))
    for name, (write, _) in ODD.items():
        write(tmp_path / name)
    options = {}
    if listed:
        names = [f"{i}.jpg" for i in range(40)] + list(ODD)
        (tmp_path / "list.txt").write_bytes(b"\n".join(map(os.fsencode, names)))
        options = {"ann_file": "list.txt"}
    entry = {"type": "convnextv2.UnlabelledImages", "data_root": str(tmp_path)}
    dataset = SeededDataset({**entry, "pipeline": PIPELINE, **options})
    dataset.full_init()
    batches = list(DataLoader(dataset, batch_size=8, num_workers=2))
    assert {str(batch["inputs"].dtype) for batch in batches} == {"torch.uint8"}
    lines = {line for b in batches for text in b["unreadable"] for line in text.splitlines()}
    named = {line.split(": ")[0].rsplit("/", 1)[1] for line in lines}
    refused = {printable(name) for name, (_, reason) in ODD.items() if reason is not None}
    if not listed:  # these the listing named
        refused -= {"pipe.png", "socket.jpg", "device.tif", "folder.png", "dangling.png"}
        refused -= {"circle.jpg", "missing.jpg"}
    assert named == refused


@pytest.mark.parametrize("kind", ["uint16", "float32"])
def test_one_of_eight_bits_among_others_stops_nothing(tmp_path, kind):
    """All are brought to what most of them are, or named."""
    for i in range(12):
        np.save(tmp_path / f"{i}.npy", DEEP.astype(kind))
    cv2.imwrite(str(tmp_path / "flat.png"), PIXELS)
    entry = {"type": "convnextv2.UnlabelledImages", "data_root": str(tmp_path)}
    dataset = SeededDataset({**entry, "pipeline": PIPELINE})
    dataset.full_init()
    (batch,) = DataLoader(dataset, batch_size=13)
    assert batch["inputs"].max() > 10_000
    text = "flat.png: values of type uint8, expected float32" if kind == "float32" else ""
    assert text in "".join(batch["unreadable"])


def test_sixteen_bits_and_one_channel_stay_as_they_are(tmp_path):
    image = np.arange(1600, dtype=np.uint16).reshape(40, 40) * 40
    cv2.imwrite(str(tmp_path / "deep.tif"), image)
    loaded = LoadImage(in_channels=1)({"img_path": str(tmp_path / "deep.tif")})["img"]
    assert loaded.dtype == np.uint16
    assert np.array_equal(loaded[..., 0], image)
    with pytest.raises(UnreadableImageError, match=r"deep.tif: 1 channels, expected 4"):
        LoadImage(in_channels=4)({"img_path": str(tmp_path / "deep.tif")})


@pytest.mark.parametrize("planar", ["contig", "separate", None])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [3, 4, 13])
def test_tiff_files_of_many_channels(tmp_path, channels, dtype, planar):
    image = (np.random.default_rng(0).random((40, 50, channels)) * 200).astype(dtype)
    stored = image.transpose(2, 0, 1) if planar == "separate" else image
    path = tmp_path / "bands.TIF"
    tifffile.imwrite(path, stored, photometric="minisblack", planarconfig=planar)
    loaded = LoadImage(in_channels=channels)({"img_path": str(path)})["img"]
    assert loaded.dtype == dtype
    assert np.array_equal(loaded, image)


def test_four_channels_and_sixteen_bits_keep_their_order(tmp_path):
    image = np.random.default_rng(0).integers(0, 2**16, (40, 50, 4)).astype(np.uint16)
    path = str(tmp_path / "a.png")
    cv2.imwrite(path, image[..., [2, 1, 0, 3]])  # OpenCV's order
    assert np.array_equal(LoadImage(in_channels=4)({"img_path": path})["img"], image)
    assert np.array_equal(LoadImage(in_channels=3)({"img_path": path})["img"], image[..., :3])


def test_arrays_are_taken_as_they_are(tmp_path):
    image = np.random.default_rng(0).random((40, 50, 7)).astype(np.float32)
    np.save(tmp_path / "a.npy", image)
    loaded = LoadImage(in_channels=7)({"img_path": str(tmp_path / "a.npy")})["img"]
    assert np.array_equal(loaded, image)
    np.save(tmp_path / "object.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(UnreadableImageError, match=r"object.npy: Object arrays cannot be loaded"):
        LoadImage()({"img_path": str(tmp_path / "object.npy")})
