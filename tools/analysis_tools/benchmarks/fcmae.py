"""What `benchmark.py fcmae` measures: a whole step of pre-training with each of the encoders."""

from importlib.util import find_spec

import torch
from torch import Tensor

from convnextv2.backbone import Block, CompiledBlock, FusedBlock
from convnextv2.backbone.fused import can_fuse
from convnextv2.engine.cpu_amp import computes_bfloat16
from convnextv2.pretrain import ENCODERS, FCMAE
from convnextv2.tools.analysis_tools.benchmarks.measuring import Contestant

REFERENCE = "dense"
# Name, encoder and blocks.
KINDS = [
    *((encoder, encoder, Block) for encoder in ENCODERS),
    ("compiled packed", "packed", CompiledBlock),
    ("fused packed", "packed", FusedBlock),
]


def make_contestants(
    arch: str, batch: int, shape: tuple[int, int]
) -> tuple[list[Contestant], list[str]]:
    """FCMAE with every encoder that can be had here, with the same weights, images and masks.

    Where bfloat16 is computed, each is measured in mixed precision too.

    Returns:
        (contestants, lines about how far their predictions are apart and who is left out)
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    images = torch.randn(batch, 3, *shape, device=device)
    notes, contestants, predictions = [], [], {}
    for name, encoder, block in KINDS:
        if encoder == "minkowski" and find_spec("MinkowskiEngine") is None:
            notes.append("left out: minkowski: not installed, see `make minkowski`")
            continue
        if block is FusedBlock and not can_fuse(device.type):
            notes.append(f"left out: {name}: needs Triton and a GPU")
            continue
        torch.manual_seed(1)
        backbone = {"type": "convnextv2.ConvNeXtV2", "arch": arch, "block": block}
        decoder = {"type": "convnextv2.FCMAEDecoder", "block": block}
        model = FCMAE(backbone, encoder, decoder=decoder).to(device)
        mask = model.draw_mask(images, torch.arange(batch))
        with torch.no_grad():
            predictions[name] = model(images, mask)
        contestants.append(_contestant(name, model, images, mask))
        if device.type == "cuda" or computes_bfloat16():
            contestants.append(_contestant(f"{name}, bf16", model, images, mask, bf16=True))
    for name, prediction in predictions.items():
        if name != REFERENCE:
            difference = (prediction - predictions[REFERENCE]).abs().max()
            notes.append(f"{name}: predictions differ from {REFERENCE}'s by {difference:.1e}")
    return contestants, notes


def _contestant(
    name: str, model: FCMAE, images: Tensor, mask: Tensor, bf16: bool = False
) -> Contestant:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)

    def loss() -> torch.Tensor:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
            return model(images, mask, mode="loss")["loss"]

    def inference() -> None:
        with torch.no_grad():
            loss()

    def train() -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()

    return Contestant(name, inference, train, len(images))
