"""What data sets of images have in common, with labels or without."""

from collections import Counter

import numpy as np
from mmengine.dataset import BaseDataset

from convnextv2.images import LoadImage, UnreadableImageError


class ImagesOfOneType(BaseDataset):
    """Images whose values are of one type.

    Where the pipeline's `LoadImage` has no ``dtype``, it is given the one that most of a few images
    have, taken evenly from all: one of 16 bits among those of 8 is converted, floats among them
    are refused.
    """

    def full_init(self) -> None:
        """List the images, and look at a few to learn their type."""
        if self._fully_initialized:
            return
        super().full_init()
        for load in self.pipeline.transforms:
            if isinstance(load, LoadImage) and load.dtype is None:
                load.dtype = self._find_dtype(load)

    def _find_dtype(self, load: LoadImage, sample: int = 16) -> str | None:
        places = np.linspace(0, len(self) - 1, min(sample, len(self))).astype(int).tolist()
        found: Counter[str] = Counter()
        for place in places:
            try:
                found[load(self.get_data_info(place))["img"].dtype.name] += 1
            except UnreadableImageError:  # named when its turn comes
                continue
        return max(found, key=lambda name: found[name], default="uint8")
