"""Label masks as they are in their files, or not at all."""

import io

import cv2
import numpy as np
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from convnextv2.engine.errors import InputError
from convnextv2.files import printable
from convnextv2.images import read_regular
from convnextv2.registry import TRANSFORMS

_VALUES = np.arange(256, dtype=np.uint8)
_NPY = b"\x93NUMPY"


@TRANSFORMS.register_module()
class LoadLabelMask(LoadAnnotations):
    """mmseg's ``LoadAnnotations``, which makes other labels of values that 8 bits do not hold.

    PNG, TIFF and whatever else Pillow reads, of any number of bits, and npy files; palettes by
    their numbers. Sets ``gt_seg_map`` (H, W), uint8; an image that comes without a path of a mask,
    as from mmseg's `inference_model`, passes as it is.

    Raises:
        InputError: The file cannot be read, has more than one channel, or values other than the
            whole numbers from 0 to 255.
    """

    reduce_zero_label: bool | None

    def _load_seg_map(self, results: dict) -> None:
        if "seg_map_path" not in results:
            return
        path = printable(results["seg_map_path"])
        try:
            labels = read_labels(read_regular(results["seg_map_path"]))
        except (OSError, ValueError, SyntaxError) as error:  # the last of broken PNGs
            raise InputError(f"{path}: {error}") from error
        if self.reduce_zero_label is None:
            self.reduce_zero_label = results["reduce_zero_label"]
        label_map = results.get("label_map")
        if label_map:
            table = _VALUES.copy()
            table[list(label_map)] = list(label_map.values())
            table = table[_reduce(_VALUES)] if self.reduce_zero_label else table
            labels = cv2.LUT(labels, table).reshape(labels.shape)
        elif self.reduce_zero_label:
            labels = _reduce(labels)
        results["gt_seg_map"] = labels
        results["seg_fields"].append("gt_seg_map")


def _reduce(labels: np.ndarray) -> np.ndarray:
    """Labels less one; 0 becomes 255, which is ignored and stays. Numpy's vectors, no table."""
    return (labels - np.uint8(1)) | (labels == 255)


def read_labels(content: bytes) -> np.ndarray:
    """Decode a label mask: (H, W), uint8.

    Raises:
        ValueError: It has more than one channel, or other values; OSError and SyntaxError are of
            files that cannot be decoded.
    """
    file = io.BytesIO(content)
    labels = np.load(file) if content.startswith(_NPY) else np.array(Image.open(file))
    if labels.ndim == 3 and labels.shape[2] == 1:
        labels = labels[..., 0]
    if labels.ndim != 2:
        shape = " x ".join(map(str, labels.shape))
        raise ValueError(f"a label mask of {shape} values, expected one for each pixel")
    if labels.dtype == np.uint8:
        return labels
    whole = labels.astype(np.uint8)
    wrong = labels[whole != labels]
    if wrong.size:
        raise ValueError(
            f"the label mask has the value {wrong[0]}; labels are whole numbers from 0 to 255"
        )
    return whole
