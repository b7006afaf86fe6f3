"""Unlabelled images from a folder or a list of files, for pre-training."""

import os
from pathlib import Path
from typing import Any

from convnextv2.files import IMAGE_SUFFIXES, find_images, printable, read_list
from convnextv2.registry import DATASETS

from .one_type import ImagesOfOneType


@DATASETS.register_module()
class UnlabelledImages(ImagesOfOneType):
    """All images below a folder, whatever its sub-folders mean, or those that a list names.

    Of their type, see `ImagesOfOneType`.

    Args:
        data_root: The folder, or one above it.
        pipeline: Transforms; the first loads ``results['img_path']``.
        ann_file: The list, relative to `data_root` unless absolute: a text file with a path a
            line, a json list of paths, or a json file in COCO's format, whose labels are not
            looked at.
        data_prefix: ``dict(img=FOLDER)``, where the images are, itself relative to `data_root`:
            what the paths of the list are relative to, or what is searched without a list.

    Raises:
        FileNotFoundError: The folder or the list does not exist, or has no images in it.
        ValueError: The list is none of the three.
    """

    def __init__(
        self,
        data_root: str,
        pipeline: list,
        ann_file: str = "",
        data_prefix: dict | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            data_root=data_root,
            pipeline=pipeline,
            ann_file=ann_file,
            data_prefix=data_prefix or {"img": ""},
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Paths of the images in an order that is the same on every machine."""
        root = Path(self.data_prefix["img"] or self.data_root)
        if not root.is_dir():
            raise FileNotFoundError(
                f"data_root {root.absolute()} does not exist; set "
                "train_dataloader.dataset.data_root, of a template data_root and train.images, to "
                "the folder that holds your images"
            )
        if self.ann_file:
            paths = [os.path.join(root, path) for path in read_list(self.ann_file)]
            if not paths:
                raise FileNotFoundError(f"{self.ann_file} names no images")
        else:
            paths = find_images(root)
            if not paths:
                where, suffixes = printable(root.absolute()), " ".join(IMAGE_SUFFIXES)
                raise FileNotFoundError(f"no images below {where} (looked for {suffixes})")
        return [{"img_path": path} for path in paths]
