"""The data checks that check_data.py reports and that train.py insists on.

A finding is ``(level, text)``; `fatal` ones keep a training from starting.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from convnextv2.engine.types import find_class, is_a, walk_datasets

Finding = tuple[str, str]
# Kind of a data set -> the class that data sets of this kind descend from.
KINDS = {
    "unlabelled": "convnextv2.pretrain.data.folder.UnlabelledImages",
    "boxes": "mmdet.datasets.coco.CocoDataset",
    "masks": "mmseg.datasets.basesegdataset.BaseSegDataset",
}
LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")


@dataclass
class Part:
    """One data set of a config: what it is called there, its entry, and what was read of it."""

    name: str
    entry: dict
    type: type | None
    classes: list[str]
    content: dict | None = None  # COCO json
    data_list: list[dict] = field(default_factory=list)  # mmseg's, or of unlabelled images
    findings: list[Finding] = field(default_factory=list)
    load: Callable[[dict], dict] | None = None  # of unlabelled images

    @property
    def kind(self) -> str:
        """``boxes``, ``masks``, ``unlabelled`` or ``unknown``, by the data set's class."""
        return next((kind for kind, name in KINDS.items() if is_a(self.type, name)), "unknown")

    @property
    def images(self) -> list[str]:
        """Paths of its images."""
        if self.content:
            return [str(self.folder / i["file_name"]) for i in self.content["images"]]
        return [entry["img_path"] for entry in self.data_list]

    @property
    def ann_file(self) -> Path:
        """Of a COCO data set."""
        return Path(self.entry.get("data_root") or "", self.entry.get("ann_file") or "")

    @property
    def folder(self) -> Path:
        """Of a COCO data set's images."""
        prefix = (self.entry.get("data_prefix") or {}).get("img", "")
        return Path(self.entry.get("data_root") or "", prefix)


def refuse_fatal(cfg) -> None:
    """Stop a training whose data have fatal faults; looks at no image.

    Raises:
        SystemExit: There are; the first are named.
    """
    parts = find_parts(cfg, LOADERS[:2])
    findings = [f for part in parts for f in part.findings] + check_heads(cfg, parts)
    fatal = [text for level, text in findings if level == "fatal"]
    if fatal:
        more = f"\n  and {len(fatal) - 10} more" if len(fatal) > 10 else ""
        raise SystemExit(
            "The data cannot be trained on:\n  " + "\n  ".join(fatal[:10]) + more + "\n"
            "python tools/dataset_converters/check_data.py CONFIG names all of it and "
            "looks into the images too."
        )


def find_parts(cfg, loaders: tuple[str, ...] = LOADERS) -> list[Part]:
    """The data sets of a config, each once, with what is found without opening an image."""
    parts: list[Part] = []
    for loader in loaders:
        for _, entry in walk_datasets(cfg.get(loader, {}).get("dataset")):
            seen = {str({k: v for k, v in p.entry.items() if k != "pipeline"}) for p in parts}
            if str({k: v for k, v in entry.items() if k != "pipeline"}) not in seen:
                parts.append(_read_part(loader.split("_")[0], entry, cfg.default_scope))
    return parts


def check_heads(cfg, parts: list[Part]) -> list[Finding]:
    """Compare the number of classes of the model's heads with that of the data."""
    classes = {len(part.classes) for part in parts if part.classes}
    return [
        ("fatal", f"{where}.num_classes is {count}, the data have {number} classes")
        for number in classes
        for where, count in _num_classes(cfg.model, "model")
        if count != number
    ]


def check_overlap(parts: list[Part]) -> list[Finding]:
    """Images of the training part that are in another too, by their content.

    Only files of one size are read.
    """
    by_size = defaultdict(lambda: defaultdict(list))
    for part in parts:
        for path in part.images:
            if os.path.isfile(path):
                by_size[os.path.getsize(path)][part.name].append(path)
    findings = []
    for groups in by_size.values():
        others = [path for name, paths in groups.items() if name != "train" for path in paths]
        if "train" in groups and others:
            contents = defaultdict(list)
            for path in others:
                contents[_digest(path)].append(path)
            for path in groups["train"]:
                for twin in contents.get(_digest(path), ()):
                    findings.append(("warning", f"in training and elsewhere: {path} is {twin}"))
    return findings


def check_content(part: Part) -> Iterator[tuple[list[Finding], object]]:
    """Open every file of a part, image by image; yields findings and, of masks, pixel counts."""
    if part.kind == "boxes" and part.content:
        from convnextv2.detection.check import read_image

        load = _load_transform(part)
        for image in part.content["images"]:
            path, size = part.folder / image["file_name"], (image["width"], image["height"])
            # A file that is missing was named already.
            yield (read_image(path, size, load) if path.is_file() else []), None
    elif part.kind == "masks":
        yield from _check_masks(part)
    elif part.kind == "unlabelled":
        load = _load_transform(part)
        for entry in part.data_list:
            try:
                load(dict(entry))
                yield [], None
            except ValueError as error:
                yield [("fatal", str(error))], None


def _check_masks(part: Part) -> Iterator[tuple[list[Finding], object]]:
    from convnextv2.segmentation.check import check_mask

    load = _load_transform(part)
    for entry in part.data_list:
        findings, size = [], None
        if os.path.isfile(entry["img_path"]):
            try:
                size = load({"img_path": entry["img_path"]})["img_shape"][::-1]
            except ValueError as error:
                findings.append(("fatal", str(error)))
        counts = None
        if os.path.isfile(entry.get("seg_map_path") or ""):
            more, counts = check_mask(
                entry["seg_map_path"], size, len(part.classes), entry["reduce_zero_label"]
            )
            findings += more
        yield findings, counts


def _read_part(name: str, entry: dict, scope: str) -> Part:
    from mmengine.registry import DATASETS, init_default_scope

    init_default_scope(scope)
    part = Part(name, entry, find_class(entry, DATASETS, scope), [])
    if part.kind == "unknown":
        part.findings.append(("warning", f"{name}: {entry['type']} is not known to this check"))
        return part
    try:
        lazy = part.kind == "boxes"  # pycocotools cannot read a json that has faults
        steps = _load_steps(part) if part.kind == "unlabelled" else []
        dataset = DATASETS.build({**entry, "pipeline": steps, "lazy_init": lazy})
    except (OSError, ValueError, AssertionError) as error:
        part.findings.append(("fatal", f"{name}: {error}"))
        return part
    part.classes = list(dataset.metainfo.get("classes") or [])
    if part.kind == "boxes":
        from convnextv2.detection.check import check_coco, read_coco

        part.content, part.findings = read_coco(part.ann_file)
        if part.content:
            part.findings = check_coco(
                part.content, str(part.ann_file), part.folder, part.classes, name != "train"
            )
        return part
    part.data_list = [dataset.get_data_info(i) for i in range(len(dataset))]
    part.load = next(iter(dataset.pipeline.transforms), None)
    if part.kind == "masks":
        from convnextv2.segmentation.check import check_pairs, find_unpaired

        part.findings = check_pairs(part.data_list, name)
        part.findings += find_unpaired(part.data_list, dataset.seg_map_suffix)
    return part


def _load_transform(part: Part):
    """The pipeline's `LoadImage`; in the place of mmcv's loader, ours with its defaults."""
    from mmengine.registry import TRANSFORMS

    from convnextv2.images import LoadImage

    if part.load is not None:
        return part.load
    steps = _load_steps(part)
    return TRANSFORMS.build(steps[0]) if steps else LoadImage(channel_order="bgr", dtype="uint8")


def _load_steps(part: Part) -> list[dict]:
    from mmengine.registry import TRANSFORMS

    loader = "convnextv2.images.LoadImage"
    steps = part.entry.get("pipeline", ())
    return [step for step in steps if is_a(find_class(step, TRANSFORMS), loader)][:1]


def _num_classes(model: object, where: str) -> Iterator[tuple[str, int]]:
    children = model.items() if isinstance(model, dict) else ()
    if isinstance(model, (list, tuple)):
        children = enumerate(model)
    for key, value in children:
        if key == "num_classes" and where.endswith("head"):
            yield where, value
        else:
            yield from _num_classes(value, f"{where}.{key}")


def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
