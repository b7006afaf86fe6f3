"""What one looks at while FCMAE trains: reconstructions, and how much is in them."""

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from convnextv2.band_pictures import show_bands
from convnextv2.engine.fsdp import whole_parameters
from convnextv2.engine.seeding import SeededIndex
from convnextv2.registry import HOOKS

from .encoders.dense import resize_mask
from .fcmae import FCMAE

PICTURES = ("original", "visible", "reconstruction", "with visible pixels")


@HOOKS.register_module()
class ReconstructionHook(Hook):
    """Write reconstructions to the visualizer's backends, and how much they explain.

    The images, their crops and masks are the same every time. The second is `explained_detail` of
    the hidden patches.

    Args:
        interval: Iterations from one time to the next; the last iteration counts too.
        num_images: Images, taken evenly from the training data.
        bands_shown: Bands to show, see `show_bands`.
    """

    priority = "LOW"

    def __init__(
        self,
        interval: int = 1000,
        num_images: int = 4,
        bands_shown: Sequence[int] | None = None,
    ) -> None:
        if interval < 1 or num_images < 1:
            raise ValueError("interval and num_images must be at least 1")
        self.interval = interval
        self.num_images = num_images
        self.bands_shown = bands_shown

    def before_train(self, runner: Runner) -> None:
        """Load the images."""
        dataset = runner.train_dataloader.dataset
        count = min(self.num_images, len(dataset))
        places = np.linspace(0, len(dataset) - 1, count).astype(int).tolist()
        samples = [dataset[SeededIndex(i, 0, i)] for i in places]
        self.inputs = torch.stack([sample["inputs"] for sample in samples])
        self.seeds = torch.tensor([sample["seed"] for sample in samples])

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: object = None
    ) -> None:
        """Draw, in the first process."""
        last = runner.iter + 1 == runner.max_iters
        if last or self.every_n_train_iters(runner, self.interval):
            with whole_parameters(runner.model):  # of which all processes take part
                if is_main_process():
                    self._show(runner)

    def _show(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.eval()
        mask = model.draw_mask(self.inputs, self.seeds)
        rows, hidden = reconstruct(model, self.inputs, mask), ~mask.flatten(1).numpy()
        model.train()
        step = runner.iter + 1
        runner.visualizer.add_image("reconstruction", draw(rows, self.bands_shown), step)
        original, reconstruction = (
            _patches([row[i] for row in rows], model.patch_size)[hidden] for i in (0, 2)
        )
        share = explained_detail(original, reconstruction)
        runner.visualizer.add_scalar("reconstruction/explained", share, step)
        runner.logger.info(
            f"of the detail of hidden patches {share:.1%} is explained in {len(rows)} images "
            "(0%: flat patches)"
        )


@torch.no_grad()
def reconstruct(model: FCMAE, inputs: Tensor, mask: Tensor) -> list[list[np.ndarray]]:
    """Let a model reconstruct images.

    Args:
        model: In evaluation mode.
        inputs: (B, C, H, W) in the units of the files.
        mask: bool (B, h, w) of its patches, True = visible.

    Returns:
        For each image the four `PICTURES`, float arrays (H, W, C) in the units of the files.
    """
    images = model.data_preprocessor({"inputs": inputs})["inputs"]
    results = model(images, mask=mask, mode="predict")
    grey = model.data_preprocessor.mean.cpu()
    rows = []
    for original, result in zip(inputs.float(), results, strict=True):
        reconstruction = result["reconstruction"].cpu()
        visible = resize_mask(result["mask"][None].cpu(), original.shape[1:])[0]
        pictures = (
            original,
            torch.where(visible, original, grey),
            reconstruction,
            torch.where(visible, original, reconstruction),
        )
        rows.append([picture.permute(1, 2, 0).numpy() for picture in pictures])
    return rows


def explained_detail(originals: np.ndarray, reconstructions: np.ndarray) -> float:
    """The share of the patches' inner contrast that reconstructions have right.

    1 - sum |r - o|^2 / sum |o|^2, o and r a patch of the original and of its reconstruction, less
    the mean of each channel. 1: all of it; 0 or less: no more than patches of one colour.

    Args:
        originals: Patches (n, pixels, C).
        reconstructions: Of these.
    """
    original = originals - originals.mean(axis=1, keepdims=True)
    error = reconstructions - reconstructions.mean(axis=1, keepdims=True) - original
    total = np.square(original).sum()
    return float(1 - np.square(error).sum() / total) if total > 0 else 0.0


def _patches(images: list[np.ndarray], side: int) -> np.ndarray:
    """Of images (H, W, C) of one size: (images, patches, pixels, C)."""
    stack = np.stack(images)
    b, height, width, c = stack.shape
    cells = stack.reshape(b, height // side, side, width // side, side, c).swapaxes(2, 3)
    return cells.reshape(b, -1, side * side, c)


def draw(rows: list[list[np.ndarray]], bands: Sequence[int] | None = None) -> np.ndarray:
    """One picture (H, W, 3), uint8, of rows of pictures as `reconstruct` gives them."""
    return np.concatenate([np.concatenate(show_bands(row, bands), axis=1) for row in rows])
