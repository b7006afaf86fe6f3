"""Parts of images are what the loader makes of the whole, of every layout of TIFF."""

import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tifffile

from convnextv2 import windows
from convnextv2.images import LoadImage, UnreadableImageError
from convnextv2.windows import DecodedImage, TiffWindows, open_windows, read_reduced

LAYOUTS = {
    "tiles": {"tile": (32, 48)},
    "strips": {"rowsperstrip": 16},
    "one strip": {"rowsperstrip": 1000},
    "planes": {"tile": (32, 48), "planarconfig": "separate"},
    "planes in strips": {"rowsperstrip": 16, "planarconfig": "separate"},
    "deflate": {"tile": (32, 32), "compression": "adobe_deflate"},
    "BigTIFF": {"tile": (32, 32), "bigtiff": True, "byteorder": ">"},
}
TILES = [(0, 0, 150, 100), (3, 5, 4, 6), (40, 30, 110, 99), (96, 64, 150, 100)]


def make(path, bands=3, dtype="uint8", layout="tiles", **settings):
    rng = np.random.default_rng(0)
    image = rng.integers(0, np.iinfo(dtype).max, (100, 150, bands)).astype(dtype)
    if "extrasamples" in settings:
        image[..., 3] = 255
    settings = {**LAYOUTS[layout], **settings}
    separate = settings.get("planarconfig") == "separate"
    kind = "rgb" if bands in (3, 4) and "extrasamples" not in settings else "minisblack"
    settings.setdefault("photometric", kind)
    bigtiff = {k: settings.pop(k) for k in ("bigtiff", "byteorder") if k in settings}
    if bands == 1:
        image, separate = image[..., 0], False
        settings.pop("planarconfig", None)
    if kind == "minisblack" and bands > 1:
        settings.setdefault("planarconfig", "contig")
    data = np.moveaxis(image, -1, 0) if separate else image
    with tifffile.TiffWriter(path, **bigtiff) as file:
        file.write(np.ascontiguousarray(data), **settings)
    return image


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("bands", "dtype", "load"),
    [
        (3, "uint8", {"channel_order": "bgr"}),
        (3, "uint16", {"dtype": "uint8"}),
        (1, "uint8", {}),
        (5, "uint16", {"in_channels": 5}),
    ],
)
def test_windows_are_parts_of_what_is_loaded_whole(layout, bands, dtype, load, tmp_path):
    path = tmp_path / "image.tif"
    np.save(tmp_path / "image.npy", make(path, bands, dtype, layout))
    load = LoadImage(**load)
    whole = load({"img_path": str(tmp_path / "image.npy")})["img"]
    if layout in ("strips", "deflate") and dtype == "uint8":  # others OpenCV cannot read
        assert np.array_equal(load({"img_path": str(path)})["img"], whole)
    with open_windows(path, load) as image:
        assert isinstance(image, TiffWindows)
        assert image.shape == (100, 150)
        for x0, y0, x1, y1 in TILES:
            part = image.read((x0, y0, x1, y1))
            assert part.dtype == whole.dtype
            assert np.array_equal(part, whole[y0:y1, x0:x1])


def test_alpha_is_dropped_as_the_loader_does(tmp_path):
    path = tmp_path / "image.tif"
    make(path, 4, layout="deflate", extrasamples=["unassalpha"], photometric="rgb")
    load = LoadImage(channel_order="bgr")
    whole = load({"img_path": str(path)})["img"]
    with open_windows(path, load) as image:
        assert isinstance(image, TiffWindows)
        assert np.array_equal(image.read((40, 30, 110, 99)), whole[30:99, 40:110])


def test_a_large_image_is_read_though_the_loader_would_refuse_it(tmp_path, monkeypatch):
    path = tmp_path / "image.tif"
    pixels = make(path)
    load = LoadImage(max_pixels=32 * 48)
    with pytest.raises(UnreadableImageError, match="more than LoadImage's max_pixels"):
        load({"img_path": str(path)})
    monkeypatch.setattr(windows, "KEPT_BYTES", 32 * 48 * 3)  # one tile
    with open_windows(path, load) as image:
        for x0, y0, x1, y1 in TILES[1:]:
            x1, y1 = min(x1, x0 + 40), min(y1, y0 + 30)
            assert np.array_equal(image.read((x0, y0, x1, y1)), pixels[y0:y1, x0:x1])
            assert len(image._kept) == 1
    make(path, layout="one strip")
    with pytest.raises(UnreadableImageError, match=r"max_pixels.*by windows: parts of 100"):
        open_windows(path, load)


def test_other_formats_and_pages_are_decoded_once(tmp_path):
    load = LoadImage(channel_order="bgr")
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    stack = LoadImage(in_channels=5)
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((5, 20, 30), np.uint8))
    for name, one in (("a.png", load), ("stack.tif", stack)):
        with open_windows(tmp_path / name, one) as found:
            assert isinstance(found, DecodedImage)
            assert found.shape == (20, 30)
    with open_windows(tmp_path / "a.png", load) as found:
        assert np.array_equal(found.read((3, 4, 10, 9)), image[4:9, 3:10])


@pytest.mark.parametrize("damage", ["truncated", "garbage", "bomb"])
def test_damage_is_said_where_it_is_met(damage, tmp_path):
    path = tmp_path / "image.tif"
    make(path, layout="deflate" if damage != "truncated" else "tiles")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages.first.dataoffsets[5], file.pages.first.databytecounts[5]
    if damage == "truncated":
        del content[offset + 10 :]
    else:
        import zlib

        packed = zlib.compress(bytes(10**6)) if damage == "bomb" else b"x" * count
        content[offset : offset + len(packed)] = packed
    path.write_bytes(content)
    with (
        pytest.raises(UnreadableImageError, match=r"image\.tif: "),
        open_windows(path, LoadImage()) as image,
    ):
        image.read((0, 0, 150, 100))


def test_the_reduced_whole_is_of_means(tmp_path, monkeypatch):
    path = tmp_path / "image.tif"
    image = make(path)
    with open_windows(path, LoadImage()) as found:
        small, factor = read_reduced(found, 40)
        assert factor == 4
        assert small.shape == (25, 38, 3)
        blocks = image[:100, :148].reshape(25, 4, 37, 4, 3).mean((1, 3))
        assert np.abs(small[:, :37].astype(float) - blocks).max() <= 1


WITHOUT_IMAGECODECS = """
import sys
sys.modules["imagecodecs"] = None  # whether it is installed or not
import cv2, numpy as np
from convnextv2.images import LoadImage, UnreadableImageError
from convnextv2.windows import open_windows
image = cv2.imread("image.tif")
with open_windows("image.tif", LoadImage(channel_order="bgr")) as windows:
    assert np.array_equal(windows.read((7, 5, 30, 25)), image[5:25, 7:30])
try:
    open_windows("image.tif", LoadImage(max_pixels=2000))
except UnreadableImageError as error:
    print(error)
"""


def test_what_tifffile_cannot_unpack_is_decoded_once(tmp_path):
    """LZW, which GDAL and OpenCV write, needs imagecodecs to be read by windows."""
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    settings = [cv2.IMWRITE_TIFF_COMPRESSION, 5, cv2.IMWRITE_TIFF_ROWSPERSTRIP, 8]
    cv2.imwrite(str(tmp_path / "image.tif"), image, settings)
    command = [sys.executable, "-c", WITHOUT_IMAGECODECS]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert re.search(r"LZW.* \(pip install '\.\[tiff\]'\)", found.stdout)
