"""Objects of an image of which a crop alone is read: their boxes and masks in that crop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.structures.bbox import HorizontalBoxes
from pycocotools import mask as coco_mask

from convnextv2.engine.errors import InputError
from convnextv2.registry import TRANSFORMS
from convnextv2.scaled_crops import (
    KEY,
    ScaledCrop,
    draw_flip,
    draw_scaled_shape,
    draw_window,
    put_crop,
)

from .coco import decode_mask
from .window_masks import MaskWindow, WindowMasks

_EMPTY = np.zeros((0, 0), np.uint8)


@TRANSFORMS.register_module()
class LargeScaleJitter:
    """Draw how an image is scaled and where it is cropped, before `LoadImage` reads it.

    The draws are those of mmdet's ``RandomResize`` and ``RandomCrop``, from the size that the
    annotations name. `LoadImage` and `LoadObjects`, which have to follow, read the crop alone.

    Args:
        scale: As of ``RandomResize``: (width, height), times the ratio. The sides' ratio is kept.
        ratio_range: As of ``RandomResize``.
        crop_size: As of ``RandomCrop``: (width, height); where the scaled image is smaller, as it.
        flip_prob: The image is mirrored with this probability, as by a ``RandomFlip`` that comes
            first. None: not here, another transform may follow that does it.

    Raises:
        InputError: When called: the image's size is not annotated.
    """

    def __init__(
        self,
        scale: Sequence[int],
        ratio_range: Sequence[float],
        crop_size: Sequence[int],
        flip_prob: float | None = None,
    ) -> None:
        self.scale, self.ratio_range, self.crop_size = scale, ratio_range, crop_size
        self.flip_prob = flip_prob

    def __call__(self, results: dict) -> dict:
        if "height" not in results or "width" not in results:
            raise InputError("LargeScaleJitter: the data set gives no height and width of images")
        image_shape = results["height"], results["width"]
        flip_direction = None
        if self.flip_prob is not None:
            flip_direction = draw_flip(self.flip_prob)
            results |= {"flip": flip_direction is not None, "flip_direction": flip_direction}
        scaled_shape = draw_scaled_shape(image_shape, self.scale, self.ratio_range)
        width, height = self.crop_size
        window = draw_window(scaled_shape, (height, width))
        put_crop(results, ScaledCrop(image_shape, scaled_shape, window, flip_direction))
        return results

    def __repr__(self) -> str:
        return (
            f"LargeScaleJitter(scale={self.scale}, ratio_range={self.ratio_range}, "
            f"crop_size={self.crop_size}, flip_prob={self.flip_prob})"
        )


@TRANSFORMS.register_module()
class LoadObjects(LoadAnnotations):
    """mmdet's ``LoadAnnotations``; of an image that was read as a crop, what is in the crop.

    Sets ``gt_bboxes``, ``gt_bboxes_labels``, ``gt_ignore_flags`` and ``gt_masks`` as mmdet's
    ``RandomFlip``, ``RandomResize`` and ``RandomCrop`` leave them, boxes around the
    masks where there are any. Polygons are drawn at the image's scale, as mmdet draws them, but
    only as far as the crop shows them.

    Args:
        with_mask: Whether there are masks.
    """

    def __init__(self, with_mask: bool = False) -> None:
        super().__init__(with_bbox=True, with_label=True, with_mask=with_mask)

    def transform(self, results: dict) -> dict:
        """Load them."""
        crop: ScaledCrop | None = results.get(KEY)
        if crop is None:
            return super().transform(results)
        self._load_bboxes(results)
        self._load_labels(results)
        masks = self._process_masks(results) if self.with_mask else None  # sets who is ignored
        if crop.flip_direction:
            results["gt_bboxes"].flip_(crop.image_shape, crop.flip_direction)
        boxes = _crop_boxes(results["gt_bboxes"].numpy(), crop)
        seen = (boxes[:, :2] < crop.shape[::-1]).all(1) & (boxes[:, 2:] > 0).all(1)
        boxes = boxes[seen]
        if masks is not None:
            draw = _Drawing(crop)
            windows = [draw(masks[i]) for i in np.flatnonzero(seen)]
            results["gt_masks"] = WindowMasks(windows, *crop.shape)
            boxes = results["gt_masks"].find_boxes()
        results["gt_bboxes"] = HorizontalBoxes(torch.from_numpy(boxes))
        for key in ("gt_bboxes_labels", "gt_ignore_flags"):
            results[key] = results[key][seen]
        return results


def _crop_boxes(boxes: np.ndarray, crop: ScaledCrop) -> np.ndarray:
    """Boxes (N, 4) of the image, in the crop; those outside have no width or no height."""
    factors, start, end = (
        np.array([*pair, *pair], np.float32)
        for pair in (crop.scale_factor, crop.window[:2], crop.shape[::-1])
    )
    return (boxes * factors - start).clip(0, end)


class _Drawing:
    """Draws masks of an image into a crop of it."""

    def __init__(self, crop: ScaledCrop) -> None:
        self.rows, self.columns = crop.find_sources()
        self.end = np.array([self.columns.max(), self.rows.max()]) + 1  # of what the crop shows

    def __call__(self, mask: list[np.ndarray] | dict) -> MaskWindow:
        """Draw polygons, each (2 n,) of x and y, or RLE."""
        if isinstance(mask, dict):
            pixels, (x, y) = decode_mask(mask).view(np.uint8), (0, 0)
        else:
            pixels, (x, y) = self._draw_polygons(mask)
        height, width = pixels.shape
        left, columns = _find_seen(self.columns - x, width)
        top, rows = _find_seen(self.rows - y, height)
        # pycocotools has columns first in memory.
        scaled = pixels.T.take(columns, axis=0).T.take(rows, axis=0)
        return MaskWindow(left, top, scaled)

    def _draw_polygons(self, rings: list[np.ndarray]) -> tuple[np.ndarray, tuple[int, int]]:
        """The mask (h, w) from the object's first pixel to the last that is seen, and its place.

        Left of and above that first pixel pycocotools would round otherwise.
        """
        # To fifths of pixels as pycocotools would do it, whose ties depend on the frame.
        points = [np.trunc(ring.reshape(-1, 2) * 5 + 0.5) / 5 for ring in rings]
        low = np.floor(np.min([ring.min(0) for ring in points], 0))
        high = np.ceil(np.max([ring.max(0) for ring in points], 0)) + 1
        start = np.maximum(low, 0).astype(int)
        end = np.minimum(high, self.end).astype(int)
        if (start >= end).any():
            return _EMPTY, (0, 0)
        width, height = (int(side) for side in end - start)
        moved = [(ring - start).ravel() for ring in points]
        rle = coco_mask.merge(coco_mask.frPyObjects(moved, height, width))
        return coco_mask.decode(rle), (int(start[0]), int(start[1]))


def _find_seen(sources: np.ndarray, side: int) -> tuple[int, np.ndarray]:
    """The first place of the crop that shows a part of so many pixels; what each shows of it."""
    seen = np.flatnonzero((sources >= 0) & (sources < side))
    return (int(seen[0]) if len(seen) else 0), sources[seen]
