"""Masks: pictures of one value or colour for each class, or of one number for each object."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from convnextv2.engine.errors import InputError

from .colour_tables import Colour
from .image_index import ImageIndex, bare
from .records import LabelledImage, Ledger, UnusableError, make_object

IGNORED = 255
MOST_OBJECTS = 10_000  # in an image; with more, it is rather a photograph
_MOST_NAMED = 5  # of unknown values or colours
_BANDS = (".npy", ".tif", ".tiff")


def pair(
    masks: ImageIndex, images: ImageIndex, ledger: Ledger, image_end: str = "", mask_end: str = ""
) -> dict[str, str]:
    """The mask of each image: called like it, or with one and the same end (``1_L.png`` of ``1``).

    Args:
        masks: The masks.
        images: The images.
        ledger: Gets what stays alone.
        image_end: What ends the names of images, before their suffix, and is not in the masks'.
        mask_end: The same of masks; those of another end are passed over.

    Raises:
        InputError: No mask belongs to an image.
    """
    by_stem = {s.removesuffix(image_end): n for n in images.names if (s := bare(n))}
    by_last = Counter(map(_last, by_stem))
    # Folders may differ, where the last names suffice.
    by_stem |= {_last(stem): n for stem, n in by_stem.items() if by_last[_last(stem)] == 1}
    named = [name for name in masks.names if bare(name).endswith(mask_end)]
    owners = {name: _owner(bare(name).removesuffix(mask_end), by_stem) for name in named}
    ends = Counter(owner[1] for owner in owners.values() if owner)
    pairs: dict[str, str] = {}
    for mask, owner in owners.items():
        if owner is None or owner[1] != ends.most_common(1)[0][0]:
            ledger.note("masks without an image", mask)
        elif owner[0] in pairs:
            ledger.note("a second mask of an image", mask)
        else:
            pairs[owner[0]] = mask
    if not pairs:
        raise InputError(
            f"no mask of {masks.folder} is called like an image of {images.folder}, such as "
            f"{(masks.names or ['nothing'])[0]} and {(images.names or ['nothing'])[0]}; say what "
            "ends the names of each: --image-end _rgb --mask-end _labels"
        )
    for name in images.names:
        if name not in pairs:
            ledger.note("images without a mask", name)
    return pairs


def _last(stem: str) -> str:
    return stem.rsplit("/", 1)[-1]


def _owner(stem: str, by_stem: dict[str, str]) -> tuple[str, str] | None:
    """The image whose name is the longest beginning of a mask's, and what follows it."""
    for whole in (stem, _last(stem)):
        for length in range(len(whole), 0, -1):
            if whole[:length] in by_stem:
                return by_stem[whole[:length]], whole[length:]
    return None


def colours_to_labels(
    path: Path, colours: dict[Colour, str], classes: Sequence[str]
) -> tuple[np.ndarray, str]:
    """The label map (H, W), uint8, of an RGB-coded mask; a line about colours not in the table.

    Args:
        path: Of the mask; alpha is dropped.
        colours: The class of each colour.
        classes: By number. A colour of another class becomes 255.

    Raises:
        UnusableError: It cannot be read, is a JPEG, or has no colour of the table.
    """
    from PIL import Image

    if path.suffix.lower() in (".jpg", ".jpeg"):
        raise UnusableError("masks saved as JPEG, which changes their colours")
    try:
        with Image.open(path) as file:
            pixels = np.array(file.convert("RGB")).astype(np.uint32)
    except Exception as error:  # damaged files make Pillow raise what it likes
        raise UnusableError("masks that cannot be read", str(error)) from error
    codes = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
    numbers = {name: i for i, name in enumerate(classes)}
    table = {r << 16 | g << 8 | b: numbers.get(n, IGNORED) for (r, g, b), n in colours.items()}
    labels, unknown = _translate(codes, table)
    named = [f"({c >> 16}, {c >> 8 & 255}, {c & 255})" for c in unknown]
    return labels, _about(named, "colours")


def values_to_labels(path: Path, values: Sequence[int]) -> tuple[np.ndarray, str]:
    """The label map (H, W), uint8, of a mask of numbers; a line about values that are no class's.

    Args:
        path: Of the mask; palettes are read by their numbers.
        values: Of the classes 0, 1, ...; all others become 255.

    Raises:
        UnusableError: It cannot be read, has colours, or no value of a class.
    """
    labels, unknown = _translate(
        read_numbers_mask(path), {value: i for i, value in enumerate(values)}
    )
    named = [str(value) for value in unknown if value != IGNORED]
    return labels, _about(named, "values")


def read_instances(
    path: Path, image: LabelledImage, classes: Sequence[str], divisor: int | None, ledger: Ledger
) -> None:
    """Add the objects of a mask in which each has a number of its own, and 0 is none.

    Args:
        path: Of the mask. 255 in a palette's mask is no object (Pascal VOC's borders).
        image: Gets the objects.
        classes: By number.
        divisor: The number divided by it is that of the class (Cityscapes: 1000); None: one class.
        ledger: Gets what is left out.

    Raises:
        UnusableError: It cannot be read, is of another size, or has too many numbers.
    """
    from convnextv2.detection.coco import encode_mask

    numbers = read_numbers_mask(path)
    if _has_palette(path):
        numbers[numbers == IGNORED] = 0
    if numbers.shape[::-1] != image.size:
        raise UnusableError("masks of another size than their image", _sizes(numbers, image.size))
    found = [value for value in np.unique(numbers).tolist() if value > 0]
    if len(found) > MOST_OBJECTS:
        raise UnusableError("masks of too many numbers", f"{len(found)} objects")
    for value in found:
        label = value // divisor if divisor else 0
        if label >= len(classes):
            ledger.note("objects of a class number that has no name", f"{path}: {value}")
        elif not (divisor and value < divisor):  # the rest of a class, not divided into objects
            mask = encode_mask(numbers == value)
            image.objects.append(make_object(classes[label], image.size, mask=mask)[0])


def read_numbers_mask(path: Path) -> np.ndarray:
    """A mask (H, W) of whole numbers, of 8 to 32 bits; palettes are read by their numbers.

    Raises:
        UnusableError: It cannot be read, has colours, fractions, or is a JPEG.
    """
    if path.suffix.lower() in (".jpg", ".jpeg"):
        raise UnusableError("masks saved as JPEG, which changes their numbers")
    try:
        numbers = _load(path)
    except Exception as error:  # damaged files make the readers raise what they like
        raise UnusableError("masks that cannot be read", str(error)) from error
    if numbers.ndim != 2:
        raise UnusableError("masks of colours, where numbers were expected", f"{numbers.shape}")
    if numbers.dtype.kind == "b":
        return numbers.astype(np.uint8)
    if numbers.dtype.kind == "f" and not (np.isfinite(numbers) & (numbers % 1 == 0)).all():
        raise UnusableError("masks of fractions, where whole numbers were expected")
    return numbers.astype(np.int64)


def _load(path: Path) -> np.ndarray:
    from PIL import Image

    from convnextv2.images import LoadImage

    if path.suffix.lower() in _BANDS:
        return LoadImage(in_channels=1)({"img_path": str(path)})["img"][..., 0]
    with Image.open(path) as file:
        return np.array(file)


def _has_palette(path: Path) -> bool:
    from PIL import Image

    if path.suffix.lower() in _BANDS:
        return False
    with Image.open(path) as file:
        return file.mode == "P"


def _translate(codes: np.ndarray, table: dict[int, int]) -> tuple[np.ndarray, list[int]]:
    values, places = np.unique(codes, return_inverse=True)
    known = [table.get(value) for value in values.tolist()]
    unknown = [v for v, label in zip(values.tolist(), known, strict=True) if label is None]
    if len(unknown) == len(values):
        raise UnusableError("masks without a pixel of a class", f"such as {unknown[:_MOST_NAMED]}")
    labels = np.array([IGNORED if label is None else label for label in known], np.uint8)
    return labels[places.reshape(codes.shape)], unknown


def _about(unknown: list[str], what: str) -> str:
    more = f" and {len(unknown) - _MOST_NAMED} more" if len(unknown) > _MOST_NAMED else ""
    return f"{what} {', '.join(unknown[:_MOST_NAMED])}{more}" if unknown else ""


def _sizes(mask: np.ndarray, size: tuple[int, int]) -> str:
    return f"mask {mask.shape[1]}x{mask.shape[0]}, image {size[0]}x{size[1]}"
