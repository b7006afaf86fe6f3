"""Patches of an image to hide from FCMAE, and what it makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .models import limit_pixels

if TYPE_CHECKING:
    from mmengine.config import Config


class Hider:
    """A pre-trained FCMAE.

    Args:
        cfg: Read, and its template filled.
        checkpoint: Path or address.

    Attributes:
        patch_size: Side of what is hidden, in pixels.
        mask_ratio: Share of the patches that the config hides.

    Raises:
        InputError: The checkpoint does not fit.
    """

    def __init__(self, cfg: Config, checkpoint: str) -> None:
        from mmengine.registry import MODELS, TRANSFORMS

        from convnextv2.engine.types import walk_datasets
        from convnextv2.engine.weights import fill_model, read_checkpoint

        self.model = MODELS.build(cfg.model).eval()
        fill_model(self.model, read_checkpoint(checkpoint), checkpoint, cfg.filename)
        _, entry = next(walk_datasets(cfg.train_dataloader.dataset))
        self.load = TRANSFORMS.build(entry["pipeline"][0])
        limit_pixels(self.load)
        self.patch_size, self.mask_ratio = self.model.patch_size, self.model.mask_ratio

    def open(self, path: str, longest: int) -> np.ndarray:
        """An image (H, W, C) as the config loads it, both sides multiples of the patches'.

        Args:
            path: Of the image.
            longest: Pixels that a side has at most; larger images are made smaller.

        Raises:
            UnreadableImageError: It is no image, or smaller than two patches.
        """
        import cv2

        from convnextv2.images import UnreadableImageError
        from convnextv2.predictor import load_file

        image = load_file(self.load, {"img_path": path})["img"]
        image = image.reshape(*image.shape[:2], -1)
        scale = min(1.0, longest / max(image.shape[:2]))
        if scale < 1:
            size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
            bands = [
                cv2.resize(image[..., band], size, interpolation=cv2.INTER_AREA)
                for band in range(image.shape[2])
            ]
            image = np.stack(bands, axis=-1)
        height, width = (side // self.patch_size * self.patch_size for side in image.shape[:2])
        if height * width < 2 * self.patch_size**2:
            raise UnreadableImageError(f"an image needs two patches of {self.patch_size} pixels")
        return image[:height, :width]

    def draw_mask(self, image: np.ndarray, mask_ratio: float, seed: int) -> np.ndarray:
        """A random mask (h, w) of an image's patches, True where visible."""
        import torch

        from convnextv2.pretrain.masks import random_mask

        height, width = (side // self.patch_size for side in image.shape[:2])
        return random_mask(height, width, mask_ratio, torch.tensor([seed]))[0].numpy()

    def reconstruct(self, image: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
        """RGB pictures (H, W, 3): what is visible, the reconstruction, and both together.

        Raises:
            ValueError: No patch is visible, or none is hidden.
        """
        import torch

        from convnextv2.band_pictures import show_bands
        from convnextv2.pretrain.reconstruction import reconstruct

        if mask.all() or not mask.any():
            raise ValueError("hide some patches, and leave some visible")
        inputs = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
        (row,) = reconstruct(self.model, inputs, torch.from_numpy(mask)[None])
        order = -1 if self._is_bgr(image) else 1
        return show_bands([picture[..., ::order] for picture in row])[1:]

    def _is_bgr(self, image: np.ndarray) -> bool:
        return image.shape[2] == 3 and getattr(self.load, "channel_order", "bgr") == "bgr"
