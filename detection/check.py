"""Find faults in annotations of COCO's format before they cost a training run."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.data_parts import Part, Report, explain_missing
from convnextv2.engine.types import list_metrics
from convnextv2.findings import Finding
from convnextv2.image_checks import check_size, look_at_image

from .check_boxes import check_boxes, collect_boxes, explain_dropped
from .check_json import check_lists, read_coco
from .check_masks import check_masks
from .check_units import check_units

if TYPE_CHECKING:
    import numpy as np
    from mmengine.config import Config


class CocoPart(Part):
    """A data set in COCO's format."""

    dataset = "mmdet.datasets.coco.CocoDataset"

    def read(self) -> None:
        """Check the annotations: seconds for COCO."""
        self._content: dict | None = None
        # Lazy: pycocotools cannot read a json that has faults.
        if not self.has_class_names() or self.build([], lazy_init=True) is None:
            return
        root = self.entry.get("data_root") or ""
        self._path = Path(root, self.entry.get("ann_file") or "")
        self._content, findings = read_coco(self._path)
        self.findings += findings
        if self._content:
            folder = Path(root, (self.entry.get("data_prefix") or {}).get("img", ""))
            self.images = [str(folder / image["file_name"]) for image in self._content["images"]]
            evaluated, masks = self.name != "train", _want_masks(self.entry.get("pipeline"))
            path = str(self._path)
            self.findings += check_coco(self._content, path, folder, self.classes, evaluated, masks)
            self.findings += self._name_left_out()

    def check_model(self, cfg: "Config") -> None:
        """Hold the file of the metric against this one."""
        for metric in list_metrics(cfg.get(f"{self.name}_evaluator")):
            other = metric.get("ann_file")
            if other and self._content and Path(other).resolve() != self._path.resolve():
                self.findings += self._compare_files(Path(other))

    def look(self, index: int) -> Report:
        """Decode an image; one that is missing was named already."""
        path, image = self.images[index], (self._content or {})["images"][index]
        if explain_missing(path):
            return Report([])
        look = look_at_image(path, self.load)
        size = image["width"], image["height"]
        findings = check_size(path, look, size, "its annotations say")
        return Report([*look.findings, *findings], look.thumbnail)

    def finish(self) -> None:
        """Hold what mmdet's data set keeps against what the file has."""
        if not self._content or any(finding.level == "fatal" for finding in self.findings):
            return
        dataset = self.build([], lazy_init=False, filter_cfg=None)
        kept = [dataset.get_data_info(i) for i in range(len(dataset))] if dataset else []
        numbers = {info["img_id"]: len(info["instances"]) for info in kept}
        expected = self._count_expected()
        for image in self._content["images"]:
            lost = expected[image["id"]] - numbers.get(image["id"], 0)
            if lost > 0:
                text = f"{lost} annotations of {image['file_name']} are left out by the data set"
                kind = "images of which annotations are left out"
                self.findings.append(Finding("warning", kind, text, str(self._path)))

    def count(self) -> dict[str, int]:
        """Objects."""
        if not self._content:
            return {}
        names = {category["id"]: category["name"] for category in self._content["categories"]}
        counts = Counter(names.get(a["category_id"]) for a in self._content["annotations"])
        return {name: counts[name] for name in self.classes}

    def sizes(self) -> list[float]:
        """Of the boxes."""
        annotations = self._content["annotations"] if self._content else []
        return [max(a["bbox"][2] * a["bbox"][3], 0) ** 0.5 for a in annotations]

    def draw(self, finding: Finding) -> "np.ndarray | None":
        """The image with the doubtful box; beside it, where the box leaves it."""
        from .draw import draw_box

        return draw_box(self.load({"img_path": finding.image})["img"], finding.box)

    def _count_expected(self) -> dict[object, int]:
        """Annotations by image of which nothing said that they are left out."""
        content = self._content or {}
        ids = {c["id"] for c in content["categories"] if c["name"] in self.classes}
        sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
        expected: dict[object, int] = defaultdict(int)
        for annotation in content["annotations"]:
            number = annotation["image_id"]
            if annotation["category_id"] in ids and not explain_dropped(annotation, sizes[number]):
                expected[number] += 1
        return expected

    def _name_left_out(self) -> Iterator[Finding]:
        """Images that mmdet's filter takes out of training."""
        rules = self.entry.get("filter_cfg") or {}
        if self.entry.get("test_mode") or not rules or not self._content:
            return
        names = {c["id"] for c in self._content["categories"] if c["name"] in self.classes}
        used = {a["image_id"] for a in self._content["annotations"] if a["category_id"] in names}
        smallest, left = rules.get("min_size", 0), len(self.images)
        for image, path in zip(self._content["images"], self.images, strict=True):
            if rules.get("filter_empty_gt") and image["id"] not in used:
                kind = f"images left out of {self.name}: no annotation of a class of the config"
                text = f"{image['file_name']} has no annotation and is left out: filter_empty_gt"
                yield Finding("note", kind, text, str(self._path), path)
            elif min(image["width"], image["height"]) < smallest:
                kind = f"images left out of {self.name}: smaller than filter_cfg.min_size"
                text = f"{image['file_name']}, {image['width']}x{image['height']} pixels, is left "
                text += f"out: filter_cfg.min_size={smallest}"
                yield Finding("warning", kind, text, str(self._path), path)
            else:
                continue
            left -= 1
        if not left:
            text = f"{self.name}: filter_cfg={dict(rules)} leaves no image"
            yield Finding("fatal", "parts without an image", text, str(self._path))

    def _compare_files(self, other: Path) -> Iterator[Finding]:
        """Images of which a metric's own file knows nothing."""
        known, _ = read_coco(other)
        if known is None:
            return
        ids = {image["id"] for image in known["images"]}
        lost = [i for i in (self._content or {})["images"] if i["id"] not in ids]
        setting = f"{self.name}_evaluator.ann_file"
        text = f"{setting} is {other}, but {self.name} reads {self._path}"
        if lost:
            text += f": {len(lost)} images, such as {lost[0]['file_name']}, are not in the former"
        level = "fatal" if lost else "warning"
        yield Finding(level, "metrics that read another file than the data set", text)


def check_coco(
    content: dict,
    name: str,
    folder: str | Path,
    classes: Sequence[str],
    evaluated: bool,
    masks: bool = False,
) -> list[Finding]:
    """Check annotations without opening an image: seconds for COCO.

    Args:
        content: Of `read_coco`.
        name: Of the file, for the texts.
        folder: Of the images; that they exist is checked.
        classes: Names of the config's classes.
        evaluated: Whether scores are computed from it.
        masks: Whether the config wants masks.
    """
    boxes = collect_boxes(content)
    found = [*check_units(boxes), *check_boxes(boxes), *check_masks(boxes, masks)]
    return check_lists(content, name, folder, classes, evaluated) + [
        finding._replace(file=name, image=finding.image and str(Path(folder, finding.image)))
        for finding in found
    ]


def _want_masks(pipeline: object) -> bool:
    """Whether a step of a pipeline, at any depth, loads masks."""
    if isinstance(pipeline, dict):
        return bool(pipeline.get("with_mask")) or _want_masks(list(pipeline.values()))
    return isinstance(pipeline, (list, tuple)) and any(map(_want_masks, pipeline))
