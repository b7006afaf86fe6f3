"""Small data sets of every task, and the wrappers that configs put around them."""

import json

import cv2
import numpy as np

IMAGES = 5


def write_images(folder):
    """Images of one size with boxes in COCO's format, and with label maps, into a folder."""
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for i in range(IMAGES):
        image = cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), (64, 48))
        cv2.imwrite(str(folder / f"images/{i}.png"), image)
        cv2.imwrite(str(folder / f"labels/{i}.png"), image[..., 0] // 128)
        images.append({"id": i, "file_name": f"{i}.png", "height": 48, "width": 64})
        box = {"bbox": [8, 8, 40, 30], "area": 1200, "iscrowd": 0, "category_id": 1}
        annotations.append({"id": i + 1, "image_id": i, "segmentation": [], **box})
    content = {"images": images, "annotations": annotations}
    content["categories"] = [{"id": 1, "name": "box"}]
    (folder / "boxes.json").write_text(json.dumps(content))


def pretraining(folder):
    load = [{"type": "convnextv2.LoadImage"}]
    augment = [
        {"type": "convnextv2.RandomResizedCrop", "size": 32},
        {"type": "convnextv2.PackFCMAEInputs"},
    ]
    return {"type": "convnextv2.UnlabelledImages", "data_root": str(folder / "images")}, (
        load,
        augment,
    )


def detection(folder):
    load = [
        {"type": "convnextv2.LoadImage"},
        {"type": "mmdet.LoadAnnotations", "with_bbox": True},
    ]
    augment = [
        {"type": "mmdet.Resize", "scale": (64, 48)},
        {"type": "mmdet.PhotoMetricDistortion"},
        {"type": "mmdet.RandomCrop", "crop_size": (40, 40)},
        # A coarse filter, so that other images are drawn in the place of some crops.
        {"type": "mmdet.FilterAnnotations", "min_gt_bbox_wh": (24, 24)},
        {"type": "mmdet.PackDetInputs"},
    ]
    dataset = {
        "type": "mmdet.CocoDataset",
        "data_root": str(folder),
        "ann_file": "boxes.json",
        "data_prefix": {"img": "images"},
        "metainfo": {"classes": ("box",)},
    }
    return dataset, (load, augment)


def segmentation(folder):
    load = [{"type": "convnextv2.LoadImage"}, {"type": "mmseg.LoadAnnotations"}]
    augment = [
        {"type": "mmseg.RandomCrop", "crop_size": (32, 32)},
        {"type": "mmseg.PhotoMetricDistortion"},
        {"type": "mmseg.PackSegInputs"},
    ]
    dataset = {
        "type": "mmseg.BaseSegDataset",
        "data_root": str(folder),
        "data_prefix": {"img_path": "images", "seg_map_path": "labels"},
        "img_suffix": ".png",
        "metainfo": {"classes": ("dark", "light")},
    }
    return dataset, (load, augment)


TASKS = {"pretraining": pretraining, "detection": detection, "segmentation": segmentation}


def make_dataset(task, wrapper, folder):
    dataset, (load, augment) = TASKS[task](folder)
    whole = {**dataset, "pipeline": load + augment}
    if wrapper == "repeat":
        return {"type": "RepeatDataset", "times": 2, "dataset": whole}
    if wrapper == "concat":
        return {"type": "ConcatDataset", "datasets": [whole, whole]}
    if wrapper == "balanced":
        return {"type": "ClassBalancedDataset", "oversample_thr": 0.5, "dataset": whole}
    # MultiImageMixDataset draws no other image in the place of one that its transforms give up.
    augment = [transform for transform in augment if "Filter" not in transform["type"]]
    if wrapper == "mosaic":
        mosaic = {"type": "mmdet.Mosaic", "img_scale": (64, 48)}
        inner = {**dataset, "pipeline": load}
        pipeline = [mosaic, *augment]
        return {"type": "mmdet.MultiImageMixDataset", "dataset": inner, "pipeline": pipeline}
    if wrapper == "mix":
        scope = "mmseg" if task == "segmentation" else "mmdet"
        inner = {**dataset, "pipeline": load}
        return {"type": f"{scope}.MultiImageMixDataset", "dataset": inner, "pipeline": augment}
    return whole
