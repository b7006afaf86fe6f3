"""Pascal VOC: an xml file for each image.

Pixels are counted from 1 and the last belongs to the box, as in the original. labelImg and CVAT
write edges from 0 into the same form, which `first_pixel` 0 says.
"""

from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from convnextv2.engine.errors import InputError

from .image_index import ImageIndex, agree_size
from .records import LabelledImage, LabelledObject, Ledger, UnusableError, make_object, read_numbers

LARGEST = 16 * 2**20  # bytes of an xml
_EDGES = ("xmin", "ymin", "xmax", "ymax")


def read(source: Path, images: ImageIndex, ledger: Ledger, first_pixel: int) -> list[LabelledImage]:
    """Read all xml files below a folder.

    Args:
        source: The folder.
        images: Where the images are.
        ledger: Gets what is left out.
        first_pixel: 1, or 0 for edges from 0.

    Raises:
        InputError: There is no xml, or pixels are not counted from 1.
    """
    found = []
    paths = sorted(source.rglob("*.xml"))
    if not paths:
        raise InputError(f"no .xml file below {source.absolute()}")
    for path in paths:
        try:
            found.append(_read_file(path, images, ledger, first_pixel))
        except UnusableError as error:
            ledger.note_error(error, str(path))
    return found


def _read_file(path: Path, images: ImageIndex, ledger: Ledger, first_pixel: int) -> LabelledImage:
    root = read_xml(path)
    try:
        name = images.find(root.findtext("filename") or path.stem)
    except UnusableError:  # files that were renamed together with their images
        name = images.find(path.stem)
    full = str(images.folder / name)
    sides = [_side(root.findtext(f"size/{side}")) for side in ("width", "height")]
    image = LabelledImage(name, full, agree_size(full, *sides))
    for number, entry in enumerate(root.iter("object"), 1):
        where = f"{path}, object {number}"
        try:
            thing, cut = _read_object(entry, image.size, first_pixel, where)
        except UnusableError as error:
            ledger.note_error(error, where)
            continue
        image.objects.append(thing)
        if cut:
            ledger.note("boxes cut at the edge of their image", where)
        if thing.crowd:
            ledger.note("objects marked difficult: kept, left out of training and scores", where)
    return image


def _read_object(
    entry: ElementTree.Element, size: tuple[int, int], first_pixel: int, where: str
) -> tuple[LabelledObject, bool]:
    edges = entry.find("bndbox")
    if edges is None:
        raise UnusableError("an object without a bndbox")
    numbers = read_numbers([edges.findtext(side) for side in _EDGES], 4)
    if first_pixel and (min(numbers[:2]) < 1 or any(number % 1 for number in numbers)):
        raise InputError(
            f"{where}: the box {numbers} (xmin, ymin, xmax, ymax) does not count pixels from 1: "
            "say --first-pixel 0 if these are edges from 0, as labelImg and CVAT write them"
        )
    x1, y1 = (number - first_pixel for number in numbers[:2])
    box = [x1, y1, numbers[2] - x1, numbers[3] - y1]
    difficult = (entry.findtext("difficult") or "").strip() == "1"
    return make_object(entry.findtext("name"), size, box, crowd=difficult)


def read_xml(path: Path) -> ElementTree.Element:
    """The root of an xml file, in which nothing is defined: no entities, no other files.

    Raises:
        UnusableError: It is no xml, defines something, or is too large.
    """
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse_definitions
    try:
        if path.stat().st_size > LARGEST:
            raise UnusableError("an xml that is too large", f"more than {LARGEST >> 20} MB")
        parser.Parse(path.read_bytes(), True)
        return builder.close()
    except (OSError, expat.ExpatError, AssertionError, ValueError, LookupError) as error:
        if isinstance(error, UnusableError):
            raise
        raise UnusableError("no xml", str(error)) from error


def _refuse_definitions(*_: object) -> None:
    raise UnusableError("an xml that defines entities or a document type, which no VOC file does")


def _side(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
