"""Unlabelled images from a folder, for pre-training."""

import os
from pathlib import Path

from mmengine.dataset import BaseDataset

from convnextv2.registry import DATASETS

from .transforms import UnreadableImageError

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".npy", ".png", ".tif", ".tiff", ".webp")


@DATASETS.register_module()
class UnlabelledImages(BaseDataset):
    """All images below a folder, whatever its sub-folders mean.

    In the place of an image that cannot be read comes another, drawn at random. The sample's
    ``unreadable`` says so to `UnreadableImagesHook`: a line for each such file, ``PATH: REASON``.

    Args:
        data_root: The folder.
        pipeline: Transforms; the first loads ``results['img_path']``.

    Raises:
        FileNotFoundError: The folder does not exist or has no images in it.
    """

    def __init__(self, data_root: str, pipeline: list, **kwargs: object) -> None:
        super().__init__(data_root=data_root, pipeline=pipeline, **kwargs)

    def __getitem__(self, idx: int) -> dict:
        unreadable = []
        for _ in range(self.max_refetch + 1):
            try:
                return {**self.prepare_data(idx), "unreadable": "\n".join(unreadable)}
            except UnreadableImageError as error:
                unreadable.append(str(error))
                idx = self._rand_another()
        raise RuntimeError("too many unreadable images in a row:\n" + "\n".join(unreadable))

    def load_data_list(self) -> list[dict]:
        """Paths of the images, sorted, so that the order is the same on every machine."""
        root = Path(self.data_root)
        if not root.is_dir():
            raise FileNotFoundError(
                f"data_root {root.absolute()} does not exist; set "
                "train_dataloader.dataset.data_root to the folder that holds your images"
            )
        paths = sorted(
            os.path.join(folder, name)
            for folder, _, names in os.walk(root, followlinks=True)
            for name in names
            if name.lower().endswith(IMAGE_SUFFIXES)
        )
        if not paths:
            raise FileNotFoundError(
                f"no images below {root.absolute()} (looked for {' '.join(IMAGE_SUFFIXES)})"
            )
        return [{"img_path": path} for path in paths]
