"""A look into one image: what its reader raises on, and what it changes without a word."""

import copy
import hashlib
import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from convnextv2.files import printable
from convnextv2.findings import Finding
from convnextv2.images import LoadImage, UnreadableImageError, read_regular
from convnextv2.near_duplicates import shrink

_EXIF_ORIENTATION = 0x0112
# What EXIF's numbers ask of a viewer; 1 asks for nothing.
_TURNS = {
    2: "mirrors it",
    3: "turns it by 180 degrees",
    4: "mirrors it from top to bottom",
    5: "mirrors and turns it by 90 degrees",
    6: "turns it by 90 degrees",
    7: "mirrors and turns it by 90 degrees",
    8: "turns it by 90 degrees",
}


class Look(NamedTuple):
    """What there is to know of an image.

    Attributes:
        findings: What is wrong.
        size: (width, height) as training sees it; None if it cannot be read.
        thumbnail: For `near_duplicates`; None if it cannot be read.
        orientation: EXIF's number, as far as the reader obeys it; else 1.
        digest: Of the file's bytes; empty if it cannot be read.
    """

    findings: list[Finding]
    size: tuple[int, int] | None = None
    thumbnail: np.ndarray | None = None
    orientation: int = 1
    digest: bytes = b""


def look_at_image(path: str, load: LoadImage, content: bytes | None = None) -> Look:
    """Decode an image with a config's reader.

    Args:
        path: Of a file that is there; of an image in a shard, its name alone.
        load: The reader.
        content: The bytes, if they are read already.
    """
    raw = copy.copy(load)
    raw.dtype = None
    try:
        content = read_regular(path) if content is None else content
        image = raw({"img_path": path, "content": content})["img"]
        if load.dtype not in (None, image.dtype.name):
            load({"img_path": path, "content": content})
    except UnreadableImageError as error:
        return Look([_unreadable(path, str(error))])
    except (OSError, ValueError) as error:
        return Look([_unreadable(path, f"{printable(path)}: {error}")])
    findings = [*_find_lost_bits(path, image, load.dtype), *_find_blank(path, image)]
    orientation = _read_orientation(content) if load.in_channels == 3 else 1
    digest = hashlib.blake2b(content, digest_size=16).digest()
    return Look(findings, image.shape[1::-1], shrink(image), orientation, digest)


def check_size(path: str, look: Look, size: tuple[int, int], labels: str) -> list[Finding]:
    """Hold an image against what its annotations say of its size.

    Args:
        path: Of the image.
        look: What is known of it.
        size: (width, height) in the annotations.
        labels: What says so, for the texts, such as "its annotations say".
    """
    if look.size is None:
        return []
    turn = _TURNS.get(look.orientation, "")
    exif = f"its EXIF orientation, {look.orientation}, {turn} when it is read"
    if look.size != tuple(size):
        have, said = ("x".join(map(str, pair)) for pair in (look.size, size))
        text = f"{have} pixels, {labels} {said}"
        kind = "images of another size than their annotations say"
        if turn and look.size == tuple(size)[::-1]:
            text += f": {exif}, and {said} is of the file's own pixels; turn the pixels and remove "
            text += "the orientation, or annotate what is seen"
            kind = "images turned by EXIF, unlike their annotations"
        return [Finding("fatal", kind, text, path, path)]
    # By 90 degrees a size that agrees says that the annotations are of the turned image.
    if turn and (look.orientation < 5 or look.size[0] == look.size[1]):
        kind = "images turned by EXIF: are the annotations of what is seen?"
        text = f"{exif}; the annotations must be of the image so turned"
        return [Finding("warning", kind, text, path, path)]
    return []


def _unreadable(path: str, text: str) -> Finding:
    text = text.removeprefix(f"{printable(path)}: ")
    return Finding("fatal", "images that cannot be read", text, path)


def _find_lost_bits(path: str, image: np.ndarray, dtype: str | None) -> list[Finding]:
    """Bits that the reader changes: 16 that become 8 may become nearly black."""
    if image.dtype == np.uint8 and dtype == "uint16":
        text = "8 bits, read as 16: multiplied by 257, unlike those that have 16"
        return [Finding("warning", "images of 8 bits read as 16 bits", text, path)]
    if image.dtype != np.uint16 or dtype != "uint8":
        return []
    most = int(image.max())
    text = f"16 bits, values up to {most}, read as 8 bits: 0 to {most >> 8} are left; "
    text += "LoadImage(dtype='uint16') keeps them"
    level = "warning" if most < 1 << 14 else "note"
    return [Finding(level, "images of 16 bits read as 8 bits", text, path)]


def _find_blank(path: str, image: np.ndarray) -> list[Finding]:
    flat = np.flatnonzero(image.min(axis=(0, 1)) == image.max(axis=(0, 1))).tolist()
    if len(flat) == image.shape[2]:
        text = f"every pixel has the value {image[0, 0].tolist()}"
        return [Finding("note", "images of a single value", text, path)]
    if flat and image.shape[2] != 3:
        text = f"of {image.shape[2]} bands, these hold a single value, from 0: {flat}"
        return [Finding("note", "images with bands of a single value", text, path)]
    return []


def _read_orientation(content: bytes) -> int:
    """EXIF's; 1 where there is none, or of formats that Pillow does not know."""
    if not content.startswith(b"\xff\xd8"):  # of others, OpenCV does not turn all
        return 1
    try:
        with Image.open(io.BytesIO(content)) as file:
            orientation = file.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # an odd EXIF makes Pillow raise whatever it stumbles on
        return 1
    return orientation if orientation in _TURNS else 1
