"""Images in a folder, and their label masks in another."""

import os
from pathlib import Path
from typing import Any

from mmseg.datasets import BaseSegDataset

from convnextv2.files import find_images, printable
from convnextv2.registry import DATASETS


@DATASETS.register_module()
class ImagesAndMasks(BaseSegDataset):
    """mmseg's `BaseSegDataset` for images and masks of any type, in any sub-folders.

    Args:
        seg_map_suffix: What a mask has in the place of its image's suffix, such as ``_L.png``.
            None: a mask is called as its image, and has any suffix of images.
        img_suffix: Only these images; None: all.
        kwargs: As of mmseg's.

    Raises:
        FileNotFoundError: There is no image, or not one that has a mask.
    """

    def __init__(
        self, seg_map_suffix: str | None = None, img_suffix: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(
            img_suffix=img_suffix or "",
            seg_map_suffix=seg_map_suffix or "",
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Paths of images and masks, in an order that is the same on every machine.

        An image without a mask has the path at which it was looked for.
        """
        if self.ann_file:
            return super().load_data_list()
        root = self.data_prefix.get("img_path") or self.data_root
        folder = self.data_prefix.get("seg_map_path")
        images = [path for path in find_images(root) if path.endswith(self.img_suffix)]
        together = folder is not None and os.path.abspath(root) == os.path.abspath(folder)
        if self.seg_map_suffix and together:
            images = [path for path in images if not path.endswith(self.seg_map_suffix)]
        if not images:
            raise FileNotFoundError(f"no images below {printable(os.path.abspath(root))}")
        labels = {"label_map": self.label_map, "reduce_zero_label": self.reduce_zero_label}
        infos = [{"img_path": path, **labels, "seg_fields": []} for path in images]
        if folder is not None:
            self._find_masks(infos, root, folder)
        return infos

    def _find_masks(self, infos: list[dict], root: str, folder: str) -> None:
        masks = find_images(folder) if os.path.isdir(folder) else []
        named = {os.path.relpath(mask, folder): mask for mask in masks}
        stems = {os.path.splitext(name)[0]: mask for name, mask in reversed(named.items())}
        found = 0
        for info in infos:
            stem = os.path.splitext(os.path.relpath(info["img_path"], root))[0]
            if self.seg_map_suffix:
                mask, wanted = named.get(stem + self.seg_map_suffix), stem + self.seg_map_suffix
            else:
                mask, wanted = stems.get(stem), f"{stem}.png"
            found += mask is not None
            info["seg_map_path"] = mask or os.path.join(folder, wanted)
        if not found:
            raise FileNotFoundError(_explain(infos[0], folder, masks))


def _explain(info: dict, folder: str, masks: list[str]) -> str:
    """Why no image has a mask, as far as the names tell."""
    stem = Path(info["img_path"]).stem
    longer = [Path(mask).name for mask in masks if Path(mask).name.startswith(stem)]
    text = f"no image has a mask: {printable(info['img_path'])} needs "
    text += printable(info["seg_map_path"])
    if longer:
        return f"{text}; of {printable(longer[0])}, mask_suffix is {longer[0][len(stem) :]!r}"
    return f"{text}; {printable(folder)} holds {len(masks)} masks of other names"
