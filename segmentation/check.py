"""Find faults in images and their label masks before they cost a training run."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convnextv2.data_parts import (
    Part,
    Report,
    explain_missing,
    find_broken_links,
    find_missing_images,
    spread,
)
from convnextv2.engine.types import find_class, is_a, list_metrics
from convnextv2.files import IMAGE_SUFFIXES, printable
from convnextv2.findings import Finding
from convnextv2.image_checks import Look, check_size, look_at_image

from .check_labels import Labels, Values, hides_class, judge_values, read_mask

if TYPE_CHECKING:
    import numpy as np
    from mmengine.config import Config


# Masks that are read before a training, and the most of them.
FEW, MOST = 16, 1000


class MaskPart(Part):
    """A data set of images and label masks."""

    dataset = "mmseg.datasets.basesegdataset.BaseSegDataset"
    unit = "pixels"

    def read(self) -> None:
        """Look for the files of images and masks."""
        self._infos: list[dict] = []
        self._values: Values = {}
        self._labels = Labels(0)
        # Not serialized: mmengine cannot do that with no image at all.
        whole = {"lazy_init": False, "serialize_data": False}
        dataset: Any = self.build([], **whole) if self.has_class_names() else None
        if dataset is None:
            return
        self._infos = [dataset.get_data_info(index) for index in range(len(dataset))]
        self._labels = Labels(
            len(self.classes), dataset.reduce_zero_label, label_map=dataset.label_map
        )
        self.images = [info["img_path"] for info in self._infos]
        self.findings += check_pairs(self._infos, self.name)
        if not dataset.ann_file:  # a list may leave out what it likes
            self.findings += find_unpaired(self._infos, dataset.seg_map_suffix)
            folder = Path(dataset.data_prefix.get("img_path") or ".")
            self.findings += find_broken_links(folder)
            self.findings += find_other_suffixes(
                folder, self.images, dataset.img_suffix, dataset.seg_map_suffix
            )

    def check_model(self, cfg: "Config") -> None:
        """Take the ignored value from the heads, and hold metric and preprocessor against it."""
        heads = dict(_list_heads(cfg.model))
        self.findings += find_softmax_of_one(heads)
        found = {
            f"{at}.ignore_index": entry.get("ignore_index", 255) for at, entry in heads.items()
        }
        for number, metric in enumerate(list_metrics(cfg.get(f"{self.name}_evaluator"))):
            found[f"{self.name}_evaluator {number}"] = metric.get("ignore_index", 255)
        ignored = next(iter(found.values()), 255)
        self._labels = self._labels._replace(ignored=ignored)
        pad = (cfg.model.get("data_preprocessor") or {}).get("seg_pad_val", 255)
        if pad != ignored and not 0 <= pad < len(self.classes):
            found["model.data_preprocessor.seg_pad_val"] = pad
        if len(set(found.values())) > 1:
            said = ", ".join(f"{where} {value}" for where, value in found.items())
            text = f"ignore_index is not the same everywhere: {said}"
            self.findings.append(Finding("warning", "values of ignore_index that differ", text))

    def sample(self) -> None:
        """Read a few masks; more, as long as a class seems to be hidden in what is ignored."""
        for number, index in enumerate(spread(len(self._infos), MOST)):
            if number >= FEW and not hides_class(self._values, self._labels):
                break
            mask = self._infos[index].get("seg_map_path") or ""
            findings, _, values = ([], None, None) if explain_missing(mask) else read_mask(mask)
            self.add(index, Report(findings, values=values))
        self.finish()

    def look(self, index: int) -> Report:
        """Decode an image and its mask."""
        info = self._infos[index]
        path, mask = info["img_path"], info.get("seg_map_path") or ""
        look = Look([]) if explain_missing(path) else look_at_image(path, self.load)
        if not mask or explain_missing(mask):
            return Report(look.findings, look.thumbnail)
        findings, size, values = read_mask(mask)
        if size:
            findings = findings + check_size(path, look, size, f"its mask {printable(mask)}")
        return Report([*look.findings, *findings], look.thumbnail, values)

    def add(self, index: int, report: Report) -> None:
        """Collect the values of the masks."""
        super().add(index, report)
        if report.values is not None:
            self._values[index] = report.values

    def finish(self) -> None:
        """Hold the values of all masks against the classes."""
        masks = [info.get("seg_map_path") or "" for info in self._infos]
        self.findings += judge_values(
            self._values, self._labels, self.classes, masks, self.images, self.name
        )

    def count(self) -> dict[str, int]:
        """Pixels, of the masks that were read."""
        pixels: Counter[int] = Counter()
        for values in self._values.values():
            for value, number in values.items():
                pixels[self._labels.find(value)] += number
        return {name: pixels[i] for i, name in enumerate(self.classes)} if self._infos else {}

    def draw(self, finding: Finding) -> "np.ndarray | None":
        """The image under its mask, and in red what is no class."""
        from .draw import paint_values

        image = self.load({"img_path": finding.image})["img"]
        return paint_values(image, finding.file, self._labels)


def check_pairs(data_list: list[dict], name: str, with_labels: bool = True) -> list[Finding]:
    """Check that there are images, and a mask for each.

    Args:
        data_list: mmseg's: ``img_path`` and ``seg_map_path`` of each image.
        name: Of the part of the data, for the texts.
        with_labels: Whether masks are needed.
    """
    if not data_list:
        text = f"{name}: no images; look at data_prefix, ann_file and img_suffix"
        return [Finding("fatal", "parts without an image", text)]
    pairs = [(e["seg_map_path"], e["img_path"]) for e in data_list if e.get("seg_map_path")]
    kind = f"masks of {name} that are missing or empty"
    twice = Counter(entry["img_path"] for entry in data_list)
    return [
        *find_missing_images([entry["img_path"] for entry in data_list], name),
        *(
            Finding("fatal", kind, f"{name}: {mask} {why}", image=image)
            for mask, image in pairs
            if with_labels and (why := explain_missing(mask))
        ),
        *(
            Finding("warning", "images that are listed several times", f"listed {n} times", path)
            for path, n in twice.items()
            if n > 1
        ),
    ]


def find_unpaired(data_list: list[dict], suffix: str) -> list[Finding]:
    """Masks in the folders of those of `data_list` that belong to no image."""
    known = {Path(entry["seg_map_path"]) for entry in data_list if entry.get("seg_map_path")}
    return [
        Finding("warning", "masks without an image", "a mask without an image", str(path))
        for folder in sorted({path.parent for path in known})
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if path.name.endswith(suffix) and path not in known and not path.name.startswith(".")
        if path.suffix.lower() in IMAGE_SUFFIXES
    ]


def find_other_suffixes(
    folder: Path, images: Sequence[str], img_suffix: str, seg_map_suffix: str
) -> list[Finding]:
    """Images in the folders of `images`, or in `folder`, that are left out for their suffix."""
    folders = {Path(path).parent for path in images} | {folder}
    return [
        Finding(
            "warning",
            f"images left out: their names do not end in img_suffix={img_suffix!r}",
            f"left out: its name does not end in img_suffix={img_suffix!r}",
            str(path),
        )
        for one in sorted(folders)
        if one.is_dir()
        for path in sorted(one.iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not path.name.endswith((img_suffix, seg_map_suffix))
        and not path.name.startswith(".")
    ]


def _list_heads(model: Any) -> Iterator[tuple[str, dict]]:
    """The entries of a segmentor's heads, with their places."""
    for name in ("decode_head", "auxiliary_head"):
        entries = model.get(name) or []
        for number, entry in enumerate(entries if isinstance(entries, list) else [entries]):
            place = f".{number}" if isinstance(entries, list) else ""
            yield f"model.{name}{place}", entry


def find_softmax_of_one(heads: dict[str, dict]) -> Iterator[Finding]:
    """Heads of one class whose losses are a softmax: it is always 1, and nothing is learned.

    Args:
        heads: Their entries by their places in the config.
    """
    from mmengine.registry import MODELS

    softmax = "mmseg.models.losses.cross_entropy_loss.CrossEntropyLoss"
    for where, entry in heads.items():
        losses = entry.get("loss_decode") or [{"type": "mmseg.CrossEntropyLoss"}]
        losses = losses if isinstance(losses, (list, tuple)) else [losses]
        plain = [
            not loss.get("use_sigmoid") and is_a(find_class(loss, MODELS), softmax)
            for loss in losses
        ]
        if entry.get("num_classes") == 1 and all(plain):
            text = f"{where} has one class under a softmax, which is always 1: name the background "
            text += "as a class too, or set loss_decode.use_sigmoid=True"
            yield Finding("fatal", "heads of one class under a softmax", text)
