"""Models that the page shows: of a config and a checkpoint, or an exported file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from convnextv2.images import LoadImage
from convnextv2.runtime.tiled import lay_tiles
from convnextv2.tiled import predict_tiles

if TYPE_CHECKING:
    from convnextv2.predictor import Predictor
    from convnextv2.windows import Windows

MOST_PIXELS = 100_000_000  # of an image


class PageModel(ABC):
    """A model.

    Attributes:
        kind: What it finds: ``objects``, ``labels`` or ``classes``.
        classes: Their names.
        palette: An RGB colour for each.
        load: Reads an image.
        has_masks: Whether objects have masks.
    """

    kind: str
    classes: list[str]
    palette: list
    load: Callable[[dict], dict]
    has_masks: bool

    @abstractmethod
    def find(self, windows: Windows, tile_size: int) -> Any:
        """What is in an image.

        Args:
            windows: The image.
            tile_size: Side of the tiles to look at it by; 0: as a whole.

        Returns:
            `FoundObject`s, the best first; labels (H, W); or dicts of the best classes.
        """


class TrainedModel(PageModel):
    """A detector, segmenter or classifier of this project."""

    def __init__(self, predictor: Predictor) -> None:
        kinds = {"detection": "objects", "segmentation": "labels", "classification": "classes"}
        self.kind = kinds[predictor.task.name]
        self.classes, self.palette, self.load = predictor.classes, predictor.palette, predictor.load
        limit_pixels(self.load)
        self.has_masks = getattr(predictor.model, "with_mask", False)
        self._predictor = predictor

    def find(self, windows: Windows, tile_size: int) -> Any:
        """See `PageModel`."""
        predictor, (height, width) = self._predictor, windows.shape
        if self.kind == "classes":
            from convnextv2.pretrain.supervised.results import find_best

            (found,) = predictor(windows.read((0, 0, width, height)))
            return find_best(found.sample, self.classes)
        grid = lay_tiles(windows.shape, *_choose_tiles(windows.shape, tile_size))
        joiner = predictor.task.open_joiner(predictor.model, grid)
        for _ in predict_tiles(predictor, windows.read, joiner):
            pass
        return joiner.join()


class ExportedModel(PageModel):
    """A file of ``export_model.py``, run by onnxruntime.

    Args:
        path: Of the file.

    Raises:
        ValueError: It gives features, which the page does not show, or is none of this project's.
    """

    def __init__(self, path: str) -> None:
        from convnextv2.runtime import Predictor

        self._predictor = Predictor(path)
        about, image = self._predictor.about, self._predictor.about["image"]
        self.kind = about["kind"]
        if self.kind == "features":
            raise ValueError(f"{path} gives features, which the page does not show")
        self.classes, self.palette = self._predictor.classes, self._predictor.palette
        self.has_masks = self.kind == "objects" and about["mask_threshold"] is not None
        self.load = LoadImage(
            in_channels=image["channels"],
            channel_order=image["channel_order"],
            dtype=image.get("dtype"),
            max_pixels=MOST_PIXELS,
        )

    def find(self, windows: Windows, tile_size: int) -> Any:
        """See `PageModel`."""
        height, width = windows.shape
        image = windows.read((0, 0, width, height))
        if self.kind == "classes":
            from convnextv2.pretrain.supervised.results import MOST

            (found,) = self._predictor(image)
            scores = found.sample.pred_scores
            return [
                {"class": self.classes[i], "label": i, "score": round(float(scores[i]), 4)}
                for i in scores.argsort()[::-1][:MOST].tolist()
            ]
        tiles = _choose_tiles(windows.shape, tile_size)
        sample = self._predictor.predict_by_tiles(image, *tiles).sample
        return sample.pred_sem_seg.data[0] if self.kind == "labels" else _list_objects(sample)


def limit_pixels(load: object) -> None:
    """Let the project's own loader refuse larger images than the page takes."""
    if isinstance(load, LoadImage):
        load.max_pixels = min(load.max_pixels, MOST_PIXELS)


def _choose_tiles(image_shape: tuple[int, int], tile_size: int) -> tuple[int, int | None]:
    """Side of the tiles and what they share, None of which is the usual; 0: one of all."""
    return (tile_size, None) if tile_size else (max(image_shape), 0)


def _list_objects(sample: Any) -> list:
    from convnextv2.runtime.box_masks import BoxMask
    from convnextv2.runtime.join import FoundObject

    found = sample.pred_instances
    masks = found.masks if "masks" in found else [None] * len(found)
    return [
        FoundObject(
            tuple(box), score, label, mask and BoxMask.from_coco(mask), frozenset([0]), None
        )
        for box, score, label, mask in zip(
            found.bboxes.tolist(),
            found.scores.tolist(),
            found.labels.tolist(),
            masks,
            strict=True,
        )
    ]
