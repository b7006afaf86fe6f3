"""What one looks at while FCMAE trains: reconstructions, and whether the features collapse."""

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from convnextv2.backbone import ConvNeXtV2
from convnextv2.band_pictures import show_bands
from convnextv2.engine.fsdp import whole_parameters
from convnextv2.engine.seeding import SeededIndex
from convnextv2.registry import HOOKS

from .encoders.dense import resize_mask
from .fcmae import FCMAE

PICTURES = ("original", "visible", "reconstruction", "with visible pixels")


@HOOKS.register_module()
class ReconstructionHook(Hook):
    """Write reconstructions and each stage's feature diversity to the visualizer's backends.

    The images, their crops and masks are the same every time. Diversity near 0 means that all
    channels say the same: the collapse that GRN prevents (paper, Fig. 4).

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
        rows = reconstruct(model, self.inputs, self.seeds)
        images = model.data_preprocessor({"inputs": self.inputs})["inputs"]
        diversity = feature_diversity(model.backbone, images)
        model.train()
        step = runner.iter + 1
        runner.visualizer.add_image("reconstruction", draw(rows, self.bands_shown), step)
        runner.visualizer.add_scalars(
            {f"diversity/stage{i + 1}": value for i, value in enumerate(diversity)}, step
        )
        text = " ".join(f"{value:.3f}" for value in diversity)
        runner.logger.info(f"feature diversity of the stages (0: collapsed, .5: full): {text}")


@torch.no_grad()
def reconstruct(model: FCMAE, inputs: Tensor, seeds: Tensor) -> list[list[np.ndarray]]:
    """Let a model reconstruct images.

    Args:
        model: In evaluation mode.
        inputs: (B, C, H, W) in the units of the files.
        seeds: (B,), of the masks.

    Returns:
        For each image the four `PICTURES`, float arrays (H, W, C) in the units of the files.
    """
    images = model.data_preprocessor({"inputs": inputs})["inputs"]
    results = model(images, seed=seeds, mode="predict")
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


@torch.no_grad()
def feature_diversity(backbone: ConvNeXtV2, images: Tensor) -> list[float]:
    """Mean cosine distance between the channels of each stage's output, all pixels visible.

    (1 / C^2) sum_ij (1 - cos(X_i, X_j)) / 2, where X_i are the values of channel i at all
    pixels, averaged over images (paper, section 3.2 and Fig. 4). 0: all channels are alike.

    Args:
        backbone: In evaluation mode.
        images: Normalised, (B, C, H, W).
    """
    distances = []
    x = images
    for downsample, stage in backbone.levels():
        x = stage(downsample(x))
        channels = torch.nn.functional.normalize(x.flatten(2).double(), dim=2)  # (B, C, HW)
        # The sum over all pairs of unit vectors is the square of their sum's length.
        cosine = channels.mean(dim=1).square().sum(dim=1)
        distances.append(((1 - cosine) / 2).mean().item())
    return distances


def draw(rows: list[list[np.ndarray]], bands: Sequence[int] | None = None) -> np.ndarray:
    """One picture (H, W, 3), uint8, of rows of pictures as `reconstruct` gives them."""
    return np.concatenate([np.concatenate(show_bands(row, bands), axis=1) for row in rows])
