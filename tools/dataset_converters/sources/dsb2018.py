"""The nuclei of the Data Science Bowl 2018 (BBBC038, CC0) from their own layout into COCO's.

Theirs: ``ID/images/ID.png`` and ``ID/masks/*.png``, a mask for each nucleus. Ours:
``images/ID.png``, ``train.json`` and ``val.json`` with one category and RLE masks. An image's part
follows from its name, a fifth is for validation; long sides are at most 512.
"""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

LONGEST = 512
IMAGES = 670  # of the original; corrected editions leave some out


def prepare(root: Path, address: str) -> None:
    """Write our layout from ``stage1_train`` below `root`, which is downloaded if it is not there.

    Raises:
        SystemExit: As of `convert`.
        OSError, ValueError: The download or its unpacking fails.
    """
    from convnextv2.archives import unpack
    from convnextv2.downloads import download

    original = root / "stage1_train"
    archive = root / "downloads" / address.rsplit("/", 1)[1]
    # An archive of ours may have been unpacked in part only.
    if archive.exists() or not original.is_dir():
        download(address, archive, None)
        unpack(archive, original)
    convert(original, root)


def describe(root: Path) -> str:
    """A line about the number of images in our layout."""
    counts = {
        part: len(json.loads((root / f"{part}.json").read_text())["images"])
        for part in ("train", "val")
    }
    line = f"{counts['train']} images for training, {counts['val']} for validation"
    if sum(counts.values()) != IMAGES:
        line += f"; the original has {IMAGES} together"
    return line


def find_missing(root: Path) -> list[str]:
    """A line for each file of our layout that is not there, or not readable."""
    lines = []
    for part in ("train", "val"):
        path = root / f"{part}.json"
        if not path.is_file():
            lines.append(f"{path.name}: does not exist")
            continue
        try:
            names = [image["file_name"] for image in json.loads(path.read_text())["images"]]
        except (ValueError, KeyError, TypeError) as error:
            lines.append(f"{path.name}: no COCO json, {error!r}")
            continue
        absent = [name for name in names if not (root / "images" / name).is_file()]
        if absent:
            lines.append(f"{part}: {len(absent)} of {len(names)} images, such as {absent[0]}")
    return lines


def convert(original: Path, root: Path) -> None:
    """Write our layout.

    Raises:
        SystemExit: `original` is not the layout it should be, or an image of it is damaged.
    """
    import cv2
    from rich.progress import track

    from convnextv2.files import AtomicLocalBackend

    folders = sorted(path.parent for path in original.glob("*/images"))
    if not folders:  # an archive may hold a folder of its own name
        folders = sorted(path.parent for path in original.glob("stage1_train/*/images"))
    if not folders:
        raise SystemExit(
            f"{original.absolute()} has no ID/images in it: put the unpacked stage1_train.zip of "
            "https://bbbc.broadinstitute.org/BBBC038 there"
        )
    (root / "images").mkdir(parents=True, exist_ok=True)
    parts: dict[str, dict[str, list[dict]]] = {
        part: {"images": [], "annotations": []} for part in ("train", "val")
    }
    empty = vanished = 0
    for folder in track(folders, "converting"):
        image, masks, without_pixels = read(folder)
        empty += without_pixels
        name = f"{folder.name}.png"
        if not cv2.imwrite(str(root / "images" / name), image):
            raise SystemExit(f"cannot write {root / 'images' / name}")
        part = parts[split(folder.name)]
        number = len(part["images"]) + 1
        height, width = image.shape[:2]
        part["images"].append({"id": number, "file_name": name, "height": height, "width": width})
        for mask in masks:
            annotation = annotate(mask)
            vanished += annotation is None
            if annotation is not None:
                # pycocotools takes a match with an annotation of id 0 for none.
                ids = {"id": len(part["annotations"]) + 1, "image_id": number}
                part["annotations"].append({**ids, **annotation})
    for name, part in parts.items():
        content = {**part, "categories": [{"id": 1, "name": "nucleus"}]}
        AtomicLocalBackend().put(json.dumps(content).encode(), root / f"{name}.json")
        print(f"{name}: {len(part['images'])} images, {len(part['annotations'])} nuclei")
    if empty or vanished:
        print(f"left out: {empty} masks that are empty, {vanished} nuclei too small to be seen")


def read(folder: Path) -> tuple["np.ndarray", list["np.ndarray"], int]:
    """Image (H, W) if grey or (H, W, 3) in OpenCV's order; masks (H, W), bool; empty masks' number.

    Those that became empty by resizing are among the masks.
    """
    import cv2
    import numpy as np

    paths = sorted((folder / "images").glob("*.png"))
    if len(paths) != 1:
        raise SystemExit(f"{folder / 'images'} holds {len(paths)} images, expected one")
    image = cv2.imread(str(paths[0]), cv2.IMREAD_COLOR)
    if image is None:
        raise SystemExit(f"{paths[0]} cannot be read")
    factor = min(1.0, LONGEST / max(image.shape[:2]))
    size = tuple(round(side * factor) for side in image.shape[1::-1])  # (width, height)
    masks, empty = [], 0
    for path in sorted((folder / "masks").glob("*.png")):
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if mask is None or mask.shape != image.shape[:2]:
            raise SystemExit(f"{path} cannot be read, or is of another size than its image")
        if mask.any():
            masks.append(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST) > 0)
        else:
            empty += 1
    if factor < 1:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    grey = np.ptp(image.astype(int), axis=2).max() == 0
    return (image[..., 0] if grey else image), masks, empty


def annotate(mask: "np.ndarray") -> dict | None:
    """COCO's annotation of a mask (H, W), or None if it is empty."""
    import numpy as np

    from convnextv2.detection.coco import encode_mask

    if not mask.any():
        return None
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    x, y = int(columns[0]), int(rows[0])
    return {
        "category_id": 1,
        "iscrowd": 0,
        "area": int(mask.sum()),
        "bbox": [x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1],
        "segmentation": encode_mask(mask),
    }


def split(name: str) -> str:
    """``train`` or ``val``, by the name alone: adding images moves no other."""
    return "train" if int(hashlib.sha256(name.encode()).hexdigest(), 16) % 5 else "val"
