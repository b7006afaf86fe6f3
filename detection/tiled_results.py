"""``results.json`` and ``polygons/`` of images that were looked at by tiles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.geo import read_place
from convnextv2.pictures import complete_palette
from convnextv2.results import ResultsFile, TrainedModel
from convnextv2.runtime.join import FoundObject
from convnextv2.tiled_results import TiledImage, TiledResults

from .journal import Journal
from .polygons import write_polygons
from .results import UNKNOWN_IDS, find_category_ids, raise_score_thr
from .tiled import ObjectsJoiner

if TYPE_CHECKING:
    import numpy as np

    from convnextv2.pictures import Palette


class TiledObjects(TiledResults):
    """The objects of images, in the form of `ObjectsWriter`.

    Args:
        trained: The model; from now on it leaves out what scores less.
        folder: Of the files.
        stamp: See `TiledResults`.
        score_thr: 0 to 1.
    """

    def __init__(self, trained: TrainedModel, folder: Path, stamp: dict, score_thr: float) -> None:
        super().__init__(folder, {**stamp, "score_thr": score_thr})
        raise_score_thr(trained.model, score_thr)
        self.classes, self.score_thr = trained.classes, score_thr
        self.palette = complete_palette(trained.trained_meta.get("palette"), len(self.classes))
        self.category_ids = find_category_ids(trained)
        self._file = ResultsFile(folder / "results.json")

    def open(self, image: TiledImage) -> ObjectsJoiner:
        """See `TiledResults`."""
        path = self.partial(image).with_name(f"{Path(image.name).name}.jsonl")
        journal = Journal(path, self.describe_image(image))
        return ObjectsJoiner(image.grid, self.score_thr, journal)

    def add(self, image: TiledImage, joiner: ObjectsJoiner) -> None:
        """Write the objects of one image, of which there may be none."""
        about = {"image_id": image.number, "file_name": image.name}
        objects = joiner.join()
        shape = image.grid.image_shape
        self._file.add(
            [{**about, **to_result(o, self.classes, self.category_ids, shape)} for o in objects]
        )
        if joiner.journal:
            joiner.journal.close()
        path = self.folder / "polygons" / f"{image.name}.geojson"
        place = read_place(image.source)
        write_polygons(path, objects, self.classes, self.palette, place)

    def draw(
        self,
        picture: np.ndarray,
        joiner: ObjectsJoiner,
        factor: int,
        palette: Palette,
        names: list[str],
    ) -> np.ndarray:
        """Outlines of masks, or boxes."""
        return outline_found(picture, joiner.join(), factor, palette)

    def __exit__(self, *error: object) -> None:
        """Make the list, also at an error."""
        self._file.__exit__(*error)
        super().__exit__(*error)

    def describe(self) -> str:
        """The number of objects."""
        count = self._file.count
        return "" if count is None else f"{count} objects of score {self.score_thr} or more"

    def warn(self) -> str:
        """Whether category ids had to be made up."""
        return "" if self._file.count is None or self.category_ids else UNKNOWN_IDS


def to_result(
    found: FoundObject,
    classes: list[str],
    category_ids: list | None,
    image_shape: tuple[int, int],
) -> dict:
    """A result of `to_results`, without its image, of an object of an image (H, W)."""
    x0, y0, x1, y1 = found.box
    label = found.label
    entry = {
        "category_id": category_ids[label] if category_ids else label + 1,
        "category_name": classes[label],
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "score": found.score,
    }
    if not category_ids:
        entry["category_id_unknown"] = True
    if found.mask is not None:
        entry["segmentation"] = found.mask.to_coco(image_shape)
    return entry


def outline_found(
    picture: np.ndarray, objects: list[FoundObject], factor: int, palette: Palette
) -> np.ndarray:
    """The picture, of which a side has 1 / factor of the image's pixels, with outlines."""
    import cv2

    picture = picture.copy()
    for found in reversed(objects):  # the best on top
        colour = tuple(palette[found.label])
        if found.mask is None or not found.mask.area:
            x0, y0, x1, y1 = (round(side / factor) for side in found.box)
            cv2.rectangle(picture, (x0, y0), (x1, y1), colour, 1, cv2.LINE_AA)
            continue
        mask = found.mask.decode(found.mask.box).astype("uint8")
        contours, _ = cv2.findContours(
            mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=found.mask.box[:2]
        )
        small = [(contour / factor).round().astype("int32") for contour in contours]
        cv2.drawContours(picture, small, -1, colour, 1, cv2.LINE_AA)
    return picture
