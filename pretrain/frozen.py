"""A backbone as it is, in front of images of any origin: for probes, embeddings and analyses."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from convnextv2.backbone import ConvNeXtV2
from convnextv2.backbone.pretrained import STEM, fill_backbone, find_backbone
from convnextv2.engine.errors import InputError
from convnextv2.engine.types import find_class, walk_datasets
from convnextv2.engine.weights import read_checkpoint
from convnextv2.images import LoadImage, UnreadableImageError
from convnextv2.preprocessing import BandNormalization, find_mean_and_std
from convnextv2.registry import MODELS

from .supervised.evaluation_crops import CenterCrop, ResizeShorter

if TYPE_CHECKING:
    from mmengine.config import Config

IMAGENET = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])


class FrozenBackbone:
    """A network that reads, normalises and looks at images, and is not changed by that.

    Args:
        backbone: In evaluation mode, its weights loaded.
        normalization: Of its images, on the same device.
        load: Reads them.
        size: Of the square that is looked at: the shorter side becomes as long, and the middle
            is cut out.
    """

    def __init__(
        self,
        backbone: ConvNeXtV2,
        normalization: BandNormalization,
        load: LoadImage,
        size: int = 224,
    ) -> None:
        self.backbone = backbone
        self.normalization = normalization
        self.device = next(backbone.parameters()).device
        self.read = [load, ResizeShorter(size, crop_ratio=1.0), CenterCrop(size)]

    def batches(
        self,
        paths: Sequence[str],
        batch_size: int = 64,
        workers: int = 0,
        title: str | None = None,
        unreadable: list[str] | None = None,
    ) -> Iterator[tuple[list[int], Tensor]]:
        """Yield the images in their order, batch by batch.

        Args:
            paths: Of the images.
            batch_size: At most so many at once.
            workers: Processes that read; 0: this one does.
            title: Of the bar that shows the progress; None: there is none.
            unreadable: Receives a line about each file that cannot be read, which is left out.

        Yields:
            Places among the paths, and normalised images (B, C, size, size) on the device.
        """
        files = _Files(paths, self.read)
        loader = DataLoader(
            files,
            batch_size,
            num_workers=workers,
            collate_fn=list,
            generator=torch.Generator(),  # from the global one it would draw, though in order
        )
        for batch in track(loader, title) if title else loader:
            read = [(place, image) for place, image in batch if isinstance(image, Tensor)]
            lines = [image for _, image in batch if not isinstance(image, Tensor)]
            if unreadable is not None:
                unreadable += lines
            if read:
                images = torch.stack([image for _, image in read]).to(self.device)
                yield [place for place, _ in read], self.normalization.normalize(images)

    @torch.no_grad()
    def pool(self, images: Tensor) -> list[Tensor]:
        """Each stage's output, averaged over its pixels, [(B, channels)], in float32."""
        x = images.contiguous(memory_format=torch.channels_last)
        pooled = []
        for downsample, stage in self.backbone.levels():
            x = stage(downsample(x))
            pooled.append(x.float().mean(dim=(2, 3)))
        return pooled


class _Files(Dataset):
    """Images (C, H, W), or what is wrong with them, with their places."""

    def __init__(self, paths: Sequence[str], steps: list) -> None:
        self.paths = paths
        self.steps = steps

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> tuple[int, Tensor | str]:
        results: dict[str, Any] = {"img_path": self.paths[place]}
        try:
            for step in self.steps:
                results = step(results)
        except UnreadableImageError as error:
            return place, str(error)
        image: Tensor = torch.from_numpy(results["img"].transpose(2, 0, 1).copy()).float()
        return place, image


def pool_files(
    network: FrozenBackbone,
    paths: Sequence[str],
    batch_size: int = 64,
    workers: int = 0,
    title: str | None = None,
    unreadable: list[str] | None = None,
) -> tuple[list[int], list[Tensor]]:
    """The pooled features of all images.

    Args:
        network: To look with.
        paths: Of the images.
        batch_size: See `FrozenBackbone.batches`.
        workers: Likewise.
        title: Of the bar that shows the progress; None: there is none.
        unreadable: See `FrozenBackbone.batches`.

    Returns:
        The places of the images that could be read, and of each stage (N, channels) on the CPU.

    Raises:
        InputError: None could be read.
    """
    places: list[int] = []
    pooled: list[list[Tensor]] = []
    for found, images in network.batches(paths, batch_size, workers, title, unreadable):
        places += found
        pooled.append([stage.cpu() for stage in network.pool(images)])
    if not places:
        raise InputError(f"none of {len(paths)} images can be read, such as {paths[0]}")
    return places, [torch.cat(stage) for stage in zip(*pooled, strict=True)]


def list_unreadable(lines: Sequence[str], total: int) -> str:
    """What to say of files that could not be read; nothing if there are none."""
    names = "".join(f"\n  {line}" for line in lines)
    return f"{len(lines)} of {total} images could not be read:{names}" if lines else ""


def from_config(
    cfg: "Config",
    checkpoint: str | None,
    size: int = 224,
    device: str | torch.device = "cpu",
    prefix: str | None = None,
) -> FrozenBackbone:
    """The backbone of a config of any task, its mean and std, and weights of any known layout.

    Args:
        cfg: Whose model has a `ConvNeXtV2` as ``backbone``.
        checkpoint: Path or address; None leaves the weights as they are drawn.
        size: See `FrozenBackbone`.
        device: Likewise.
        prefix: Where in the file to look, see `load_pretrained`.

    Raises:
        InputError: Another backbone.
        FileNotFoundError: No such checkpoint.
        ValueError: The checkpoint does not fit.
    """
    entry = cfg.model.get("backbone") or {}
    scope = cfg.get("default_scope")
    found = find_class(entry, MODELS, scope)
    if found is None or not issubclass(found, ConvNeXtV2):
        raise InputError(f"{cfg.filename}: its model has no backbone of the type ConvNeXtV2")
    changed = {"init_cfg": None, "output_norm": False, "frozen_stages": 0}
    backbone = MODELS.build({**entry, **changed})
    if checkpoint is not None:
        _load(backbone, checkpoint, prefix)
    mean, std = find_mean_and_std(cfg.model.get("data_preprocessor") or {}, checkpoint)
    normalization = _normalization(mean, std, backbone.in_channels)
    load = LoadImage(backbone.in_channels, dtype=_find_dtype(cfg, scope))
    return _assemble(backbone, normalization, load, size, device)


def _load(backbone: ConvNeXtV2, checkpoint: str, prefix: str | None) -> None:
    """Fill the backbone; blocks of other kinds are in checkpoints of this project only."""
    below = f"{prefix or 'backbone'}."
    found = {
        key.removeprefix(below): tensor
        for key, tensor in read_checkpoint(checkpoint).items()
        if key.startswith(below)
    }
    own = backbone.state_dict()
    if all(key in found and found[key].shape == own[key].shape for key in own):
        backbone.load_state_dict({key: found[key] for key in own})
    else:
        fill_backbone(backbone, find_backbone(checkpoint, prefix), checkpoint)


def from_weights(
    checkpoint: str,
    size: int = 224,
    device: str | torch.device = "cpu",
    prefix: str | None = None,
) -> FrozenBackbone:
    """The ConvNeXt V2 of a weight file of any known layout, whose shapes tell its arch.

    Images are normalised as ImageNet's are; `from_config` knows better.

    Args:
        checkpoint: Path or address.
        size: See `FrozenBackbone`.
        device: Likewise.
        prefix: Where in the file to look, see `load_pretrained`.

    Raises:
        FileNotFoundError: No such checkpoint.
        ValueError: No plain ConvNeXt V2 in it, or one of other bands whose mean and std it lacks.
    """
    weights = find_backbone(checkpoint, prefix)
    tensors = weights.tensors
    blocks = [key.split(".")[1:3] for key in tensors if key.startswith("stages.")]
    depths = [1 + max(int(b) for s, b in blocks if int(s) == i) for i in range(4)]
    channels = [len(tensors[f"stages.{i}.0.norm.weight"]) for i in range(4)]
    in_channels = tensors[STEM].shape[1]
    arch = {"depths": depths, "channels": channels}
    backbone = ConvNeXtV2(arch, in_channels, output_norm=False)
    fill_backbone(backbone, weights, checkpoint)
    normalization = _normalization(None, None, in_channels)
    return _assemble(backbone, normalization, LoadImage(in_channels), size, device)


def _assemble(
    backbone: ConvNeXtV2,
    normalization: BandNormalization,
    load: LoadImage,
    size: int,
    device: str | torch.device,
) -> FrozenBackbone:
    backbone, normalization = backbone.to(device).eval(), normalization.to(device)
    return FrozenBackbone(backbone, normalization, load, size)


def _normalization(
    mean: list[float] | None, std: list[float] | None, in_channels: int
) -> BandNormalization:
    if mean is None or std is None:
        if in_channels != 3:
            raise InputError(
                f"mean and std of the {in_channels} bands are not known: give the training's config"
            )
        mean, std = IMAGENET
    return BandNormalization(mean, std)


def _find_dtype(cfg: "Config", scope: str | None) -> str | None:
    """What the config's images become when they are read."""
    from mmengine.registry import TRANSFORMS

    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        for _, entry in walk_datasets((cfg.get(name) or {}).get("dataset")):
            for step in entry.get("pipeline") or ():
                found = find_class(step, TRANSFORMS, scope)
                if found is not None and issubclass(found, LoadImage):
                    return step.get("dtype")
    return None
