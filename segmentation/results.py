"""Label maps: a PNG of one byte a pixel, as the data set's own labels are."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np


def set_output(metric: dict, folder: str) -> None:
    """Make mmseg's IoUMetric, given its entry of a config, write label maps into a folder."""
    metric["output_dir"] = folder


def check_names(paths: Iterable[str]) -> None:
    """Stop before label maps that would overwrite each other.

    Raises:
        SystemExit: Two images would give their names to one label map.
    """
    paths = list(paths)
    stems = Counter(Path(path).stem for path in paths)
    if twice := sorted(path for path in paths if stems[Path(path).stem] > 1):
        some = "".join(f"\n  {path}" for path in twice[:6])
        raise SystemExit(
            f"--out: label maps have the names of their images and lie in one folder, but "
            f"{len(twice)} images share a name, such as{some}\ntools/infer.py keeps sub-folders"
        )


def to_label_map(sample: object, label_offset: int) -> np.ndarray:
    """The label map (H, W), uint8, of what mmseg found in an image.

    Args:
        sample: mmseg's, on the CPU.
        label_offset: 1 where 0 of a file is what nobody labelled, otherwise 0.
    """
    return sample.pred_sem_seg.data[0].numpy().astype(np.uint8) + np.uint8(label_offset)
