"""The classifiers that `benchmark.py classifier` measures: logits, and a step of training."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from convnextv2.backbone import ARCHS
from convnextv2.pretrain.supervised import Classifier
from convnextv2.tools.analysis_tools.benchmarks.measuring import Contestant

REFERENCE = "transformers"
CLASSES = 1000


def make_contestants(
    arch: str, batch: int, shape: tuple[int, int]
) -> tuple[list[Contestant], list[str]]:
    """Every classifier that can be had here, on the GPU, in bfloat16 autocast, if there is one.

    Returns:
        (contestants, a line for each that cannot be had)
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    images = torch.randn(batch, 3, *shape, device=device)
    labels = torch.randint(CLASSES, (batch,), device=device)
    contestants, absent = [], []
    for name, build in BUILDERS.items():
        try:
            network = build(arch).to(device)
        except ImportError as error:
            absent.append(f"left out: {name}: {error}")
            continue
        contestants.append(contestant(name, network, images, labels))
    return contestants, absent


def contestant(name: str, network: nn.Module, images: Tensor, labels: Tensor) -> Contestant:
    """The two steps of a network that returns logits."""
    autocast = torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda)

    def inference() -> None:
        network.eval()
        with torch.inference_mode(), autocast:
            network(images)

    def train() -> None:
        network.train()
        network.zero_grad()
        with autocast:
            logits = network(images)
        cross_entropy(logits.float(), labels, label_smoothing=0.1).backward()

    return Contestant(name, inference, train, len(images))


class TransformersClassifier(nn.Module):
    """transformers' classifier, returning its logits alone."""

    def __init__(self, arch: str) -> None:
        from transformers import ConvNextV2Config, ConvNextV2ForImageClassification

        super().__init__()
        sizes = ARCHS[arch]
        config = ConvNextV2Config(
            depths=sizes["depths"], hidden_sizes=sizes["channels"], num_labels=CLASSES
        )
        self.model = ConvNextV2ForImageClassification(config)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x).logits


class MMPretrainClassifier(nn.Module):
    """mmpretrain's network with its linear head."""

    def __init__(self, arch: str) -> None:
        from mmpretrain.models import ConvNeXt

        super().__init__()
        self.backbone = ConvNeXt(arch, use_grn=True, layer_scale_init_value=0.0)
        self.head = nn.Linear(ARCHS[arch]["channels"][-1], CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x)[-1])


def build_this(arch: str) -> nn.Module:
    """Our classifier."""
    return Classifier({"type": "convnextv2.ConvNeXtV2", "arch": arch}, CLASSES)


BUILDERS = {
    REFERENCE: TransformersClassifier,
    "this project": build_this,
    "mmpretrain": MMPretrainClassifier,
}
