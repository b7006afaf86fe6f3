"""YOLO: a txt file for each image, a line for each object, in fractions of the image's sides.

A line is the class number, then centre, width and height of a box, or the corners of a polygon.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from convnextv2.engine.errors import InputError
from convnextv2.files import find_images

from .image_index import ImageIndex, read_size
from .records import LabelledImage, LabelledObject, Ledger, UnusableError, make_object, read_numbers

LARGEST = 64 * 2**20  # bytes of a txt
SLACK = 0.01  # by which fractions may exceed 0 to 1: rounding, and boxes at an edge
_NAME_FILES = ("classes.txt", "obj.names")
_PARTS = {"train": "train", "val": "val", "valid": "val"}


def read(
    source: Path, images: ImageIndex, ledger: Ledger, classes: list[str]
) -> tuple[list[LabelledImage], list[str]]:
    """Read what a data.yaml leads to, or the txt files of a folder.

    Args:
        source: The yaml, a folder that holds one, or the folder of the txt files.
        images: Where the images are.
        ledger: Gets what is left out.
        classes: By number; if there are none, those of the yaml, ``classes.txt`` or ``obj.names``.

    Returns:
        The images, with the parts that the yaml names, and the classes by number.

    Raises:
        InputError: There are no classes, or the yaml leads nowhere.
    """
    table = source if source.suffix in (".yaml", ".yml") else _find_table(source)
    content = read_yaml(table) if table else {}
    root = table.parent if table else source
    names = classes or _read_names(content, root)
    if content.get("test"):
        ledger.note("parts of the yaml that are not read", f"test: {content['test']}")
    found = []
    for part, name in _list_images(content, root, images):
        path = str(images.folder / name)
        try:
            image = LabelledImage(name, path, read_size(path)[0], part=part)
            labels = _find_labels(Path(path), Path(name), root)
            if labels is None:
                ledger.note("images without a txt: taken as without objects", name)
            else:
                _read_labels(labels, image, names, ledger)
        except UnusableError as error:
            ledger.note_error(error, name)
            continue
        found.append(image)
    return found, names


def read_yaml(path: Path) -> dict:
    """The content of a yaml file of plain data.

    Raises:
        InputError: It is none.
    """
    import yaml

    try:
        # Lines that refer to others can grow without bounds.
        text = path.read_text("utf-8-sig")
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise InputError(f"{path}: has references (*name), which are not read")
        content = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path}: no yaml: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: a {type(content).__name__}, expected names and values")
    return content


def _find_table(source: Path) -> Path | None:
    if not source.is_dir():
        raise InputError(f"{source.absolute()}: neither a data.yaml nor a folder")
    found = sorted([*source.glob("*.yaml"), *source.glob("*.yml")])
    named = [path for path in found if path.stem == "data"] or found
    if len(named) > 1:
        listed = ", ".join(path.name for path in named)
        raise InputError(f"{source} has several yaml files: name one of {listed}")
    return named[0] if named else None


def _read_names(content: dict, root: Path) -> list[str]:
    names: Any = content.get("names")
    if isinstance(names, dict):
        numbers = sorted(names, key=str)
        if set(names) != set(range(len(names))):
            raise InputError(f"names in the yaml are numbered {numbers}, expected 0, 1, ...")
        names = [names[i] for i in range(len(names))]
    if isinstance(names, list) and names:
        return [str(name).strip() for name in names]
    for file in _NAME_FILES:
        for path in (root / file, root.parent / file):
            if path.is_file():
                lines = path.read_text("utf-8-sig", "replace").splitlines()
                return [line.strip() for line in lines if line.strip()]
    raise InputError(
        f"no names of the classes: neither names in a data.yaml nor {' or '.join(_NAME_FILES)} in "
        f"{root.absolute()}; give --classes NAME NAME ..., in the order of their numbers"
    )


def _list_images(content: dict, root: Path, images: ImageIndex) -> Iterator[tuple[str, str]]:
    """(part, name) of each image once; without parts in the yaml all of the folder."""
    parts = {key: content[key] for key in _PARTS if content.get(key)}
    if not parts:
        yield from (("", name) for name in images.names)
        return
    base, seen = _base(content, root), set()
    for key, places in parts.items():
        for place in places if isinstance(places, list) else [places]:
            for path in _images_of(str(place), key, base, root):
                name = images.find(_below(path, images.folder))
                if name not in seen:
                    yield _PARTS[key], name
                seen.add(name)


def _base(content: dict, root: Path) -> Path:
    """The folder that the parts' paths begin at; one outside, of another machine, is not used."""
    told = Path(root, str(content.get("path") or "."))
    return told if told.is_dir() and told.resolve().is_relative_to(root.resolve()) else root


def _images_of(place: str, key: str, base: Path, root: Path) -> list[str]:
    """Paths of a part's images: of a folder, or of a text file that lists them."""
    plain = place.replace("\\", "/")
    # Roboflow writes ../train/images for the train/images that lies beside the yaml.
    bare = plain.lstrip("/")
    while bare.startswith("../"):
        bare = bare[3:]
    for path in (base / plain, base / bare, root / bare, base / Path(bare).name):
        inside = path.resolve().is_relative_to(root.resolve())
        if inside and path.is_dir():
            return find_images(path)
        if inside and path.is_file():
            lines = path.read_text("utf-8-sig", "replace").splitlines()
            return [str(path.parent / line.strip()) for line in lines if line.strip()]
    raise InputError(
        f"{key}: {place} of the yaml is no folder or list below {root.absolute()}; correct it, or "
        "remove it from the yaml to take all images below --images"
    )


def _below(path: str, folder: Path) -> str:
    try:
        return Path(path).resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return path


def _find_labels(path: Path, name: Path, root: Path) -> Path | None:
    """The txt of an image: in ``labels`` for ``images``, in the folder of txt files, beside it."""
    beside = path.with_suffix(".txt")
    parts = list(beside.parts)
    places = [root / name.with_suffix(".txt"), root / beside.name, beside]
    if "images" in parts[:-1]:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
        places.insert(0, Path(*parts))
    return next((place for place in places if place.is_file()), None)


def _read_labels(path: Path, image: LabelledImage, names: list[str], ledger: Ledger) -> None:
    try:
        if path.stat().st_size > LARGEST:
            raise UnusableError("a txt that is too large", f"more than {LARGEST >> 20} MB")
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableError("a txt that cannot be read", f"{path}: {error}") from error
    for number, line in enumerate(lines, 1):
        where = f"{path}, line {number}"
        try:
            if line.strip():
                thing, cut = _read_line(line.split(), image.size, names)
                image.objects.append(thing)
                if cut:
                    ledger.note("objects cut at the edge of their image", where)
        except UnusableError as error:
            ledger.note_error(error, where)


def _read_line(
    words: list[str], size: tuple[int, int], names: list[str]
) -> tuple[LabelledObject, bool]:
    numbers = read_numbers(words)
    label, fractions = numbers[0], numbers[1:]
    if label % 1 or not 0 <= label < len(names):
        said = f"{words[0]}, {len(names)} classes"
        raise UnusableError("lines of a class number that has no name", said)
    if len(fractions) != 4 and (len(fractions) < 6 or len(fractions) % 2):
        raise UnusableError("lines that are neither a box nor a polygon", f"{len(words)} numbers")
    if min(fractions) < -SLACK or max(fractions) > 1 + SLACK:
        raise UnusableError("lines whose numbers are no fractions from 0 to 1", " ".join(words[:5]))
    name = names[int(label)]
    scaled = [fraction * size[i % 2] for i, fraction in enumerate(fractions)]
    if len(scaled) > 4:
        return make_object(name, size, polygons=[scaled])
    x, y, width, height = scaled
    return make_object(name, size, [x - width / 2, y - height / 2, width, height])
