"""What a model finds in an image, in layers to look at, rows to read and files to take away."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from convnextv2.geo import Place, read_place
from convnextv2.images import as_bgr
from convnextv2.pictures import complete_palette, to_rgb, write_png
from convnextv2.windows import Windows, open_windows, read_reduced

from .models import MOST_PIXELS

if TYPE_CHECKING:
    from collections.abc import Collection

    from convnextv2.runtime.box_masks import BoxMask
    from convnextv2.runtime.join import FoundObject

    from .models import PageModel

SIDES = 480, 1600  # pixels at least and at most of what is drawn, so that words can be read
MOST_ROWS = 200


class Photograph(NamedTuple):
    """An image, as it is shown."""

    name: str
    shape: tuple[int, int]
    """(H, W) of the file."""
    picture: np.ndarray
    """(h, w, 3) RGB."""
    scale: float
    """Pixels of the picture for one of the image, on a side."""
    place: Place | None


class View(ABC):
    """What was found in an image.

    Args:
        photograph: The image.
        classes: Names of the labels.
        palette: An RGB colour for each.
    """

    layers: ClassVar[tuple[str, ...]]
    """That can be drawn."""
    columns: ClassVar[tuple[str, ...]]
    """Of `list_rows`."""

    def __init__(self, photograph: Photograph, classes: list[str], palette: list) -> None:
        self.photograph, self.classes = photograph, classes
        self.palette = complete_palette(palette, len(classes))

    @abstractmethod
    def draw(self, score_thr: float, layers: Collection[str]) -> np.ndarray:
        """The picture (h, w, 3) with some of the layers."""

    @abstractmethod
    def list_rows(self, score_thr: float) -> list[list]:
        """A row for each thing found, the best first."""

    @abstractmethod
    def write(self, folder: Path, score_thr: float) -> list[Path]:
        """Write what was found into files of a folder; returns them."""


class ObjectsView(View):
    """Objects, the best score first."""

    layers = ("boxes", "masks", "names")
    columns = ("class", "score", "x", "y", "width", "height")

    def __init__(
        self, photograph: Photograph, classes: list[str], palette: list, objects: list[FoundObject]
    ) -> None:
        super().__init__(photograph, classes, palette)
        self.objects = objects

    def draw(self, score_thr: float, layers: Collection[str]) -> np.ndarray:
        """See `View`."""
        import cv2

        from convnextv2.words import label_words, write_words

        picture, scale = self.photograph.picture.copy(), self.photograph.scale
        words = label_words(tuple(self.classes))
        for found in reversed(self._choose(score_thr)):  # the best on top
            colour = self.palette[found.label]
            x0, y0, x1, y1 = (round(side * scale) for side in found.box)
            if "masks" in layers and found.mask is not None and found.mask.area:
                _fill(picture, found.mask, scale, colour)
            if "boxes" in layers:
                cv2.rectangle(picture, (x0, y0), (x1, y1), colour, 1, cv2.LINE_AA)
            if "names" in layers:
                text = f"{words[found.label]} {found.score:.2f}"
                write_words(picture, text, (x0, max(y0 - 3, 9)), colour)
        return picture

    def list_rows(self, score_thr: float) -> list[list]:
        """See `View`; at most `MOST_ROWS`."""
        rows = []
        for found in self._choose(score_thr)[:MOST_ROWS]:
            x0, y0, x1, y1 = (round(side, 1) for side in found.box)
            sides = [x0, y0, round(x1 - x0, 1), round(y1 - y0, 1)]
            rows.append([self.classes[found.label], round(found.score, 3), *sides])
        return rows

    def write(self, folder: Path, score_thr: float) -> list[Path]:
        """COCO's results and GeoJSON."""
        from convnextv2.detection.polygons import write_polygons
        from convnextv2.detection.tiled_results import to_result

        objects, shape = self._choose(score_thr), self.photograph.shape
        about = {"image_id": 1, "file_name": self.photograph.name}
        results = [{**about, **to_result(found, self.classes, None, shape)} for found in objects]
        paths = folder / "results.json", folder / "polygons.geojson"
        paths[0].write_text(json.dumps(results))
        write_polygons(paths[1], objects, self.classes, self.palette, self.photograph.place)
        return list(paths)

    def _choose(self, score_thr: float) -> list[FoundObject]:
        return [found for found in self.objects if found.score >= score_thr]


class LabelsView(View):
    """A label for every pixel."""

    layers = ("labels", "names")
    columns = ("class", "share of the pixels")

    def __init__(
        self, photograph: Photograph, classes: list[str], palette: list, labels: np.ndarray
    ) -> None:
        super().__init__(photograph, classes, palette)
        self.labels = labels

    def draw(self, score_thr: float, layers: Collection[str]) -> np.ndarray:
        """See `View`; labels have no scores."""
        from convnextv2.segmentation.draw import paint

        if "labels" not in layers:
            return self.photograph.picture.copy()
        rows, columns = (
            np.minimum((np.arange(shown) + 0.5) // self.photograph.scale, side - 1).astype(int)
            for shown, side in zip(
                self.photograph.picture.shape[:2], self.labels.shape, strict=True
            )
        )
        labels = self.labels[rows[:, None], columns]
        names = self.classes if "names" in layers else ()
        return paint(self.photograph.picture, labels, self.palette, names=names)

    def list_rows(self, score_thr: float) -> list[list]:
        """See `View`."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.classes))
        order = sorted(range(len(self.classes)), key=lambda label: -counts[label])
        shares = ((label, counts[label] / self.labels.size) for label in order)
        return [[self.classes[label], f"{share:.2%}"] for label, share in shares if share]

    def write(self, folder: Path, score_thr: float) -> list[Path]:
        """The label map, the first class 0."""
        path = folder / "labels.png"
        write_png(self.labels, path)
        return [path]


class ClassesView(View):
    """Scores of the image's class."""

    layers = ()
    columns = ("class", "score")

    def __init__(
        self, photograph: Photograph, classes: list[str], palette: list, best: list[dict[str, Any]]
    ) -> None:
        super().__init__(photograph, classes, palette)
        self.best = best

    def draw(self, score_thr: float, layers: Collection[str]) -> np.ndarray:
        """See `View`: the picture itself."""
        return self.photograph.picture.copy()

    def list_rows(self, score_thr: float) -> list[list]:
        """See `View`."""
        return [[one["class"], one["score"]] for one in self.best if one["score"] >= score_thr]

    def write(self, folder: Path, score_thr: float) -> list[Path]:
        """The best classes."""
        path = folder / "results.json"
        path.write_text(json.dumps({"file_name": self.photograph.name, "classes": self.best}))
        return [path]


VIEWS: dict[str, type[View]] = {
    "objects": ObjectsView,
    "labels": LabelsView,
    "classes": ClassesView,
}


def look(model: PageModel, path: str, tile_size: int = 0) -> View:
    """Find what is in an image.

    Args:
        model: What finds it.
        path: Of the image.
        tile_size: Side of the tiles to look at it by; 0: as a whole.

    Raises:
        UnreadableImageError: It is no image, or too large.
    """
    from convnextv2.images import UnreadableImageError

    with open_windows(path, model.load) as windows:
        height, width = windows.shape
        if height * width > MOST_PIXELS:
            raise UnreadableImageError(
                f"{Path(path).name}: {width} x {height} pixels; this page takes up to "
                f"{MOST_PIXELS // 10**6} megapixels, tools/infer.py --tile any"
            )
        picture, scale = _make_picture(windows, model.load)
        photograph = Photograph(Path(path).name, windows.shape, picture, scale, read_place(path))
        found = model.find(windows, tile_size)
    view: Any = VIEWS[model.kind]
    return view(photograph, model.classes, model.palette, found)


def _make_picture(windows: Windows, load: object) -> tuple[np.ndarray, float]:
    """The image, which `load` reads, of a size to be looked at, and its scale."""
    import cv2

    small, factor = read_reduced(windows, SIDES[1])
    picture = to_rgb(as_bgr(small, load))
    times = -(-SIDES[0] // max(picture.shape[:2])) if factor == 1 else 1
    if times > 1:
        size = picture.shape[1] * times, picture.shape[0] * times
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
    return picture, times / factor


def _fill(picture: np.ndarray, mask: BoxMask, scale: float, colour: tuple) -> None:
    """Colour an object's mask, in place, with its outline."""
    import cv2

    x0, y0, x1, y1 = (round(side * scale) for side in mask.box)
    size = max(1, x1 - x0), max(1, y1 - y0)
    pixels = mask.decode(mask.box).astype(np.uint8)
    shown = cv2.resize(pixels, size, interpolation=cv2.INTER_NEAREST)
    part = picture[y0 : y0 + size[1], x0 : x0 + size[0]]
    inside = shown[: part.shape[0], : part.shape[1]] > 0
    part[inside] = (0.65 * part[inside] + 0.35 * np.array(colour)).astype(np.uint8)
    contours, _ = cv2.findContours(shown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, colour, 1, cv2.LINE_AA, offset=(x0, y0))
