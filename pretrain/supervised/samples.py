"""What a labelled image becomes on its way to the classifier and back."""

import numpy as np
import torch
from mmengine.structures import BaseDataElement

from convnextv2.pretrain.data.transforms import to_tensor
from convnextv2.registry import TRANSFORMS


class ClassSample(BaseDataElement):
    """An image's class, as it is known and as it was found.

    Data: ``gt_label``, (1,), int64; after prediction ``pred_scores``, (num_classes,), of sum 1,
    and ``pred_label``, (1,). Metainfo: ``img_path``; ``ori_shape``, (H, W) of the file; ``seed``,
    of all that is drawn for the image after it was loaded.
    """


@TRANSFORMS.register_module()
class PackClassInputs:
    """To ``inputs`` (C, H, W) and ``data_samples``, a `ClassSample`."""

    def __call__(self, results: dict) -> dict:
        known = ("img_path", "ori_shape")
        meta = {key: results[key] for key in known if key in results}
        sample = ClassSample(metainfo={**meta, "seed": np.random.randint(2**31)})
        if "gt_label" in results:
            sample.gt_label = torch.tensor([results["gt_label"]])
        return {"inputs": to_tensor(results["img"]), "data_samples": sample}
