"""Images that are smaller than the backbone's last stage can take."""

import torch


def pad_small(sample: dict, smallest: int = 32) -> None:
    """Repeat the last row or column of an image that is too small for the backbone's last stage.

    mmdet pads by itself; mmseg cuts off again what is called padding.
    """
    height, width = sample["inputs"].shape[1:]
    rows, columns = (
        torch.arange(max(side, smallest)).clamp(max=side - 1) for side in (height, width)
    )
    if len(rows) > height or len(columns) > width:
        sample["inputs"] = sample["inputs"][:, rows][:, :, columns]
        padding = [0, len(columns) - width, 0, len(rows) - height]  # left, right, top, bottom
        shape = (len(rows), len(columns))
        sample["data_samples"].set_metainfo({"padding_size": padding, "pad_shape": shape})
