"""Layer-wise learning rates and weight decay by role, for every model with our backbone."""

from collections.abc import Iterator

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from convnextv2.registry import OPTIM_WRAPPER_CONSTRUCTORS

from .convnextv2 import ConvNeXtV2

_OPTIONS = ("decay_rate", "decay_type")


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Optimizer groups for a model with a `ConvNeXtV2`; FCMAE, detectors and segmenters alike.

    A parameter of the backbone at depth d of D gets ``lr * decay_rate ** (D + 1 - d)``; the rest
    of the model gets ``lr``. GRN, norms, embeddings, biases and what a module names in its
    `no_weight_decay` (the mask token) have no weight decay.

    `paramwise_cfg` options:
        decay_rate: Factor a step of depth, in (0, 1]. Default 1: one rate for all.
        decay_type: What a step is: ``block_wise``, ``layer_wise`` (default; 12 steps for Base,
            Large and Huge) or ``stage_wise``, see `ConvNeXtV2.layer_depth`.

    Raises:
        ValueError: An unknown option, a rate outside (0, 1], or a model without `ConvNeXtV2`.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        options = dict(paramwise_cfg or {})
        if unknown := sorted(options.keys() - set(_OPTIONS)):
            raise ValueError(f"unknown paramwise_cfg options {unknown}; known: {list(_OPTIONS)}")
        self.decay_rate = options.setdefault("decay_rate", 1.0)
        self.decay_type = options.setdefault("decay_type", "layer_wise")
        if not 0 < self.decay_rate <= 1:
            raise ValueError(f"decay_rate must be in (0, 1], got {self.decay_rate}")
        super().__init__(optim_wrapper_cfg, options)
        if self.base_lr is None or self.base_wd is None:
            raise ValueError("the optimizer needs `lr` and `weight_decay`")

    def add_params(self, params: list[dict], module: nn.Module, **_: object) -> None:
        """Fill `params` with one group for each pair of learning rate and weight decay."""
        backbones = {n: m for n, m in module.named_modules() if isinstance(m, ConvNeXtV2)}
        if not backbones:
            raise ValueError(f"{type(module).__name__} has no ConvNeXtV2 in it")
        groups: dict[tuple, dict] = {}
        for name, parameter, decays in _trainable(module):
            scale, where = self._place(name, backbones)
            group = groups.setdefault(
                (scale, decays),
                {
                    "params": [],
                    "lr": self.base_lr * scale,
                    "weight_decay": self.base_wd if decays else 0.0,
                    "where": where,
                },
            )
            if self.decay_rate == 1:
                group["where"] = "all"
            group["params"].append(parameter)
        params += [groups[key] for key in sorted(groups)]
        print_log(_table(params), logger="current")

    def _place(self, name: str, backbones: dict[str, ConvNeXtV2]) -> tuple[float, str]:
        """The factor of a parameter's learning rate, and where it stands, for the table."""
        scale, where = 1.0, "heads"
        for prefix, backbone in backbones.items():
            if prefix and not name.startswith(prefix + "."):
                continue
            inner = name.removeprefix(prefix).lstrip(".")
            depth, deepest = backbone.layer_depth(inner, self.decay_type)
            if depth <= deepest:
                scale, where = self.decay_rate ** (deepest + 1 - depth), f"depth {depth}"
        return scale, where


def _trainable(model: nn.Module) -> Iterator[tuple[str, nn.Parameter, bool]]:
    """Yield (name, parameter, has weight decay) of every parameter that trains, each once."""
    without = (nn.LayerNorm, nn.GroupNorm, nn.Embedding, _NormBase)
    seen = set()
    for prefix, module in model.named_modules():
        exempt: frozenset[str] = getattr(module, "no_weight_decay", frozenset())
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad or parameter in seen:
                continue
            seen.add(parameter)
            decays = not (isinstance(module, without) or name.endswith("bias") or name in exempt)
            yield f"{prefix}.{name}".lstrip("."), parameter, decays


def _table(groups: list[dict]) -> str:
    table = Table("where", "lr", "weight decay", "tensors", "parameters", title="optimizer groups")
    for group in groups:
        count = sum(p.numel() for p in group["params"])
        row = (f"{group['lr']:.3g}", f"{group['weight_decay']:g}", f"{len(group['params'])}")
        table.add_row(group["where"], *row, f"{count:,}")
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return "\n" + capture.get()
