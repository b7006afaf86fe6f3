"""What a loader is compared with: OpenCV in a bare loop, or the pipeline of mmdet or mmseg."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from mmengine.dataset import BaseDataset

    from convnextv2.engine.seeding import SeededIndex

LIBRARIES = {
    "mmdet": "mmdet.datasets.base_det_dataset.BaseDetDataset",
    "mmseg": "mmseg.datasets.basesegdataset.BaseSegDataset",
}


class Reference(NamedTuple):
    """A way to read and augment images."""

    name: str
    run: Callable[["BaseDataset", Sequence["SeededIndex"]], None]
    """With some images of a data set."""
    steps: list[Callable] | None = None
    """Its pipeline, of a library."""


def find_reference(dataset: "BaseDataset") -> Reference:
    """What a data set's own pipeline is to be compared with.

    Raises:
        SystemExit: The pipeline is of no task.
    """
    from convnextv2.engine.types import is_a

    for library, kind in LIBRARIES.items():
        if is_a(type(dataset), kind):
            steps = list_library_steps(dataset.pipeline.transforms)
            return Reference(f"{library} alone", partial(run_steps, steps=steps), steps)
    names = {type(transform).__name__ for transform in dataset.pipeline.transforms}
    if not {"LoadImage", "RandomResizedCrop"} <= names:
        raise SystemExit(
            "only pipelines of detection, of segmentation, and those with LoadImage and "
            "RandomResizedCrop of pre-training and classification"
        )
    return Reference("OpenCV alone", _run_bare_loop)


def find_loader(dataset: "BaseDataset") -> Any:
    """The step that reads images: ours, or mmcv's."""
    from convnextv2.engine.types import is_a

    kinds = "convnextv2.images.LoadImage", "mmcv.transforms.loading.LoadImageFromFile"
    return next(t for t in dataset.pipeline.transforms if is_a(type(t), *kinds))


def run_steps(
    dataset: "BaseDataset", indices: Sequence["SeededIndex"], steps: Sequence[Callable]
) -> None:
    """Pass images through transforms, seeded each as in training."""
    from convnextv2.engine.seeding import seed_cpu

    for index in indices:
        seed_cpu(index.seed)
        results = dataset.get_data_info(index)
        for step in steps:
            results = step(results)
            if results is None:  # given up, as crops without an object
                break


def list_library_steps(transforms: Sequence[Any]) -> list[Callable]:
    """The same pipeline of the library's own steps: image, labels, flip, scale, crop, the rest.

    Args:
        transforms: Built, of a data set of mmdet or mmseg.
    """
    from mmengine.registry import TRANSFORMS

    from convnextv2.engine.types import is_a

    first: dict[str, Any] = {}
    rest: list[Any] = []
    for transform in transforms:
        for kind, replace in _REPLACEMENTS.items():
            if is_a(type(transform), kind):
                first |= replace(transform)
                break
        else:
            others = (name for kind, name in _OTHERS.items() if is_a(type(transform), kind))
            name = next(others, None)
            rest.append({"type": name} if name else transform)
    steps = [first[part] for part in ("image", "labels", "flip", "resize", "crop") if part in first]
    return [TRANSFORMS.build(s) if isinstance(s, dict) else s for s in (*steps, *rest)]


def _replace_reader(load: Any) -> dict:
    # The library's reads no other number of bands.
    return {"image": {"type": "LoadImageFromFile"} if load.in_channels == 3 else load}


def _replace_objects(load: Any) -> dict:
    annotations = {"type": "LoadAnnotations", "with_bbox": True, "with_mask": load.with_mask}
    return {"labels": annotations}


def _replace_labels(load: Any) -> dict:
    reduced = load.reduce_zero_label
    return {"labels": {"type": "LoadAnnotations", "reduce_zero_label": reduced}}


def _replace_jitter(jitter: Any) -> dict:
    crop = {"crop_size": jitter.crop_size, "recompute_bbox": True, "allow_negative_crop": True}
    parts = {**_resize(jitter), "crop": {"type": "RandomCrop", **crop}}
    if jitter.flip_prob is not None:
        parts["flip"] = {"type": "RandomFlip", "prob": jitter.flip_prob}
    return parts


def _replace_choice(draw: Any) -> dict:
    def resize(scales: list) -> dict:
        return {"type": "RandomChoiceResize", "scales": scales, "keep_ratio": True}

    crop = {"type": "RandomCrop", "crop_type": "absolute_range", "allow_negative_crop": True}
    cropped = [
        resize(draw.crop_scales),
        {**crop, "crop_size": tuple(draw.crop_range)},
        resize(draw.scales),
    ]
    choice = {"type": "RandomChoice", "transforms": [[resize(draw.scales)], cropped]}
    return {"flip": {"type": "RandomFlip", "prob": draw.flip_prob}, "resize": choice}


def _replace_second_resize(_: Any) -> dict:
    return {}  # `_replace_choice` has it


def _replace_crop(crop: Any) -> dict:
    options = {key: getattr(crop, key) for key in ("crop_size", "cat_max_ratio", "ignore_index")}
    return {**_resize(crop), "crop": {"type": "RandomCrop", **options}}


def _resize(draw: Any) -> dict:
    options = {"scale": draw.scale, "ratio_range": draw.ratio_range, "keep_ratio": True}
    return {"resize": {"type": "RandomResize", **options}}


_OTHERS = {
    "convnextv2.segmentation.photometric.SegPhotoMetricDistortion": "PhotoMetricDistortion",
    "convnextv2.detection.packing.PackObjects": "PackDetInputs",
    "convnextv2.segmentation.packing.PackLabelMask": "PackSegInputs",
}
_REPLACEMENTS = {
    "convnextv2.images.LoadImage": _replace_reader,
    "convnextv2.detection.loading.LoadObjects": _replace_objects,
    "convnextv2.detection.loading.LargeScaleJitter": _replace_jitter,
    "convnextv2.detection.multi_scale_crops.MultiScaleCrop": _replace_choice,
    "convnextv2.detection.multi_scale_crops.ResizeCrop": _replace_second_resize,
    "convnextv2.segmentation.loading.LoadLabelMask": _replace_labels,
    "convnextv2.segmentation.random_crops.RandomLabelledCrop": _replace_crop,
}


def _run_bare_loop(dataset: "BaseDataset", indices: Sequence["SeededIndex"]) -> None:
    """What no loader can do without: decode, crop as the pipeline would, resize.

    What OpenCV does not decode, the data set's own transform does.
    """
    import cv2
    import numpy as np

    rng = np.random.default_rng(0)
    transforms = {type(t).__name__: t for t in dataset.pipeline.transforms}
    load, crop = transforms["LoadImage"], transforms["RandomResizedCrop"]
    for index in indices:
        info = dataset.get_data_info(index)
        if "content" in info:  # out of a tar shard
            content = np.frombuffer(info["content"], np.uint8)
        else:
            content = np.fromfile(info["img_path"], np.uint8)
        image = cv2.imdecode(content, cv2.IMREAD_COLOR_RGB)
        if image is None:
            image = load(info)["img"][..., :4]
        height, width = image.shape[:2]
        share = np.sqrt(rng.uniform(*crop.scale))
        h, w = max(1, int(height * share)), max(1, int(width * share))
        y, x = rng.integers(height - h + 1), rng.integers(width - w + 1)
        cv2.resize(image[y : y + h, x : x + w], crop.size[::-1], interpolation=cv2.INTER_CUBIC)
