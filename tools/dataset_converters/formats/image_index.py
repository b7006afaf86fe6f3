"""Images found by what annotations call them, and their sizes."""

import re
import urllib.parse
from collections import defaultdict
from pathlib import Path, PurePosixPath

from convnextv2.engine.errors import InputError
from convnextv2.files import IMAGE_SUFFIXES, find_images

from .records import UnusableError

# Before names: eight digits of Label Studio, which uploads get.
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")
_LABEL_SUFFIXES = (".json", ".txt", ".xml")
_ORIENTATION = 0x0112  # of EXIF
_ON_THE_SIDE = (5, 6, 7, 8)


class ImageIndex:
    """The images below a folder. What lies elsewhere is never found, whatever it is called.

    Args:
        folder: Of the images.
        without: A folder below it that holds others.

    Raises:
        InputError: There is none.
    """

    def __init__(self, folder: str | Path, without: str | Path | None = None) -> None:
        self.folder = Path(folder)
        paths = [Path(path) for path in find_images(folder)]
        if without is not None and Path(without).resolve() != self.folder.resolve():
            paths = [path for path in paths if not path.is_relative_to(without)]
        self.names = [path.relative_to(folder).as_posix() for path in paths]
        if not self.names:
            raise InputError(f"no image below {self.folder.absolute()}")
        self._known = set(self.names)
        self._by_end: dict[str, list[str]] = defaultdict(list)
        for name in self.names:
            last = name.rsplit("/", 1)[-1]
            for end in {last, bare(last)}:
                self._by_end[end].append(name)

    def find(self, called: str) -> str:
        """The path below the folder of the image that is meant.

        The longest end of the path decides; the folders before it are those of another machine.
        A name without its suffix, or with another one, will do if there is one image of it.

        Raises:
            UnusableError: There is none, or more than one.
        """
        for name in _readings(called):
            if name in self._known:
                return name
            last = name.rsplit("/", 1)[-1]
            ends = self._by_end.get(last) or self._by_end.get(bare(last))
            if ends:
                return _longest(name, ends)
        raise UnusableError("no such image", called)


def bare(name: str) -> str:
    """A path with forward slashes, without the suffix of an image or of an annotation."""
    name = name.replace("\\", "/")
    suffix = PurePosixPath(name).suffix
    known = suffix.lower() in (*IMAGE_SUFFIXES, *_LABEL_SUFFIXES)
    return name.removesuffix(suffix) if known else name


def read_size(path: str | Path) -> tuple[tuple[int, int], bool]:
    """(width, height) as training sees it, and whether EXIF turned it on its side.

    Only the header is read.

    Raises:
        UnusableError: It is no image.
    """
    from PIL import Image

    path = Path(path)
    try:
        if path.suffix.lower() in (".npy", ".tif", ".tiff"):
            return _read_band_size(path), False
        with Image.open(path) as file:
            turned = file.getexif().get(_ORIENTATION) in _ON_THE_SIDE
            return (file.size[::-1] if turned else file.size), turned
    except Exception as error:  # damaged headers make the readers raise what they like
        raise UnusableError("an image that cannot be read", f"{path}: {error}") from error


def agree_size(path: str | Path, width: object, height: object) -> tuple[int, int]:
    """(width, height) of an image, which its annotation states too, if it does.

    Raises:
        UnusableError: They differ, or it is no image.
    """
    size, turned = read_size(path)
    if not all(isinstance(side, (int, float)) and side > 0 for side in (width, height)):
        return size
    if size == (width, height):
        return size
    said = f"{path} has {size[0]}x{size[1]} pixels, its annotation says {width}x{height}"
    if turned and size == (height, width):
        raise UnusableError("an image that EXIF turns, annotated as it was before", said)
    raise UnusableError("an image of another size than its annotation says", said)


def _readings(called: str) -> list[str]:
    """What a name may mean: as it is, below ``?d=`` of an address, without an upload's number."""
    name = called.replace("\\", "/")
    name = name.split("?d=", 1)[-1]
    plain = urllib.parse.unquote(name)
    names = [name, plain]
    head, slash, last = plain.rpartition("/")
    if _UPLOADED.match(last):
        names.append(f"{head}{slash}{_UPLOADED.sub('', last)}")
    return list(dict.fromkeys(names))


def _longest(name: str, candidates: list[str]) -> str:
    """The candidate whose end agrees with a name's in most folders."""
    wanted = name.split("/")[-2::-1]

    def agreeing(candidate: str) -> int:
        folders = candidate.split("/")[-2::-1]
        pairs = zip(wanted, folders, strict=False)
        return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(wanted), len(folders)))

    most = max(map(agreeing, candidates))
    best = [candidate for candidate in candidates if agreeing(candidate) == most]
    if len(best) > 1:
        raise UnusableError("several images that may be meant", f"{name}: {', '.join(best[:3])}")
    return best[0]


def _read_band_size(path: Path) -> tuple[int, int]:
    if path.suffix.lower() == ".npy":
        import numpy as np

        shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
        return shape[1], shape[0]
    import tifffile

    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        return page.imagewidth, page.imagelength
