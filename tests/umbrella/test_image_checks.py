"""What a look into an image tells."""

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from convnextv2.image_checks import check_size, look_at_image
from convnextv2.images import LoadImage

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def look(path, **reader):
    return look_at_image(str(path), LoadImage(**reader))


def write_turned(path, orientation, pixels=PIXELS):
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    return str(path)


@pytest.mark.parametrize("orientation", [1, 6])
def test_an_image_that_fits_its_annotations_has_no_fault(tmp_path, orientation):
    path = write_turned(tmp_path / "a.jpg", orientation)
    seen = look(path)
    assert seen.findings == []
    assert seen.size == ((30, 20) if orientation == 1 else (20, 30))
    assert check_size(path, seen, seen.size, "its mask") == []


@pytest.mark.parametrize(
    ("orientation", "said", "level", "text"),
    [
        (1, (9, 9), "fatal", "30x20 pixels, its mask 9x9"),
        (6, (30, 20), "fatal", "EXIF orientation, 6, turns it by 90 degrees"),
        (3, (30, 20), "warning", "EXIF orientation, 3, turns it by 180 degrees"),
        (2, (30, 20), "warning", "mirrors it"),
    ],
)
def test_sizes_and_turns_that_disagree_are_named(tmp_path, orientation, said, level, text):
    path = write_turned(tmp_path / "a.jpg", orientation)
    (found,) = check_size(path, look(path), said, "its mask")
    assert found.level == level
    assert text in found.text


def test_a_square_that_is_turned_is_named(tmp_path):
    path = write_turned(tmp_path / "a.jpg", 8, PIXELS[:, :20])
    (found,) = check_size(path, look(path), (20, 20), "its mask")
    assert found.level == "warning"


def test_bands_and_bits_that_the_reader_takes_are_no_fault(tmp_path):
    five = np.random.default_rng(0).integers(0, 4000, (20, 30, 5), dtype=np.uint16)
    np.save(tmp_path / "a.npy", five)
    tifffile.imwrite(tmp_path / "a.tif", five, photometric="minisblack", planarconfig="contig")
    for name in ("a.npy", "a.tif"):
        seen = look(tmp_path / name, in_channels=5, dtype="uint16")
        assert (seen.findings, seen.size) == ([], (30, 20))
        assert "5 channels, expected 3" in look(tmp_path / name).findings[0].text


def test_bits_that_are_lost_are_named(tmp_path):
    path = str(tmp_path / "a.png")
    cv2.imwrite(path, PIXELS.astype(np.uint16) * 16)
    assert look(path, dtype="uint16").findings == []
    (found,) = look(path, dtype="uint8").findings
    assert found.level == "warning"
    assert "0 to 15 are left" in found.text
    cv2.imwrite(path, PIXELS.astype(np.uint16) * 257)
    assert look(path, dtype="uint8").findings[0].level == "note"


def test_files_that_cannot_be_read_say_why(tmp_path):
    path = tmp_path / "a.png"
    path.touch()
    assert str(look(path).findings[0]) == f"{path}: the file is empty"
    path.write_bytes(b"<html>")
    assert str(look(path).findings[0]) == f"{path}: truncated, or no image"
    assert look(path).size is None


def test_what_holds_a_single_value_is_noted(tmp_path):
    bands = np.zeros((20, 30, 5), np.uint16)
    np.save(tmp_path / "a.npy", bands)
    (found,) = look(tmp_path / "a.npy", in_channels=5).findings
    assert found == (
        "note",
        "images of a single value",
        found.text,
        str(tmp_path / "a.npy"),
        "",
        (),
    )
    bands[3, 3, :4] = 9
    np.save(tmp_path / "a.npy", bands)
    (found,) = look(tmp_path / "a.npy", in_channels=5).findings
    assert found.text.endswith("these hold a single value, from 0: [4]")


def test_an_image_of_8_bits_among_16_is_named(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), PIXELS)
    (found,) = look(tmp_path / "a.png", dtype="uint16").findings
    assert "8 bits, read as 16" in found.text
