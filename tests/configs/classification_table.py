"""The paper's recipes of classification, typed from it.

Paper: Tables 9 to 11 (fine-tuning from FCMAE), 12 and 13 (by way of ImageNet-22K), 14 and 15
(accuracies). "Released" is facebookresearch/ConvNeXt-V2, "V1" the recipe of ConvNeXt V1: the
nearest public sources where the paper is silent.
"""

import re
from typing import NamedTuple

from config_files import CONFIGS
from mmengine.config import Config

FOLDER = CONFIGS / "classification"
BLOCKS, GROUPS = "block_wise", "layer_wise"
RELEASED = "https://dl.fbaipublicfiles.com/convnext/convnextv2"
# for: epochs; ramp: those of warm-up; lr: of a batch of 256; per: a step of the decay is a block or
# one of 12 groups; soft: label smoothing; mix, cut: alphas; drop: of paths; ema: .9999. A section
# has its batch, classes, start (FCMAE, none, IN-22K) and scale of the head's initial weights.
SECTIONS = """
1024 1000 fcmae .001 # Tables 9 to 11; the rate of Base and Large is the released code's
name                               for ramp lr      wd   decay per   soft mix cut drop ema top1
atto_8xb128-600e-fcmae_in1k        600 0    2e-4    .3   .9    block .2   -   -   .1   yes 76.7
femto_8xb128-600e-fcmae_in1k       600 0    2e-4    .05  .9    block .2   .3  .3  0    yes 78.5
pico_8xb128-600e-fcmae_in1k        600 0    2e-4    .3   .9    block .2   .3  .3  0    yes 80.3
nano_8xb128-600e-fcmae_in1k        600 0    2e-4    .3   .9    block .2   .5  .5  .1   yes 81.9
tiny_8xb128-300e-fcmae_in1k        300 40   8e-4    .05  .9    block .1   .8  1   .2   yes 83.0
base_8xb128-100e-fcmae_in1k        100 20   6.25e-4 .05  .6    group .1   .8  1   .1   yes 84.9
large_16xb64-100e-fcmae_in1k       100 20   6.25e-4 .05  .6    group .1   .8  1   .2   yes 85.8
huge_32xb32-50e-fcmae_in1k         50  10   1.25e-3 .05  .75   group .1   .8  1   .3   yes 86.3

4096 1000 none 1 # V1; of Atto to Nano what is not rate, decay and warm-up is as above; issue 43
name                               for ramp lr      wd   decay per   soft mix cut drop ema top1
atto_32xb128-600e-supervised_in1k  600 20   2.5e-4  .05  -     -     .2   -   -   .1   yes 76.2
femto_32xb128-600e-supervised_in1k 600 20   2.5e-4  .05  -     -     .2   .3  .3  0    yes 78.0
pico_32xb128-600e-supervised_in1k  600 20   2.5e-4  .05  -     -     .2   .3  .3  0    yes 79.7
nano_32xb128-600e-supervised_in1k  600 20   2.5e-4  .05  -     -     .2   .5  .5  .1   yes 81.2
tiny_32xb128-300e-supervised_in1k  300 20   2.5e-4  .05  -     -     .1   .8  1   .1   yes 82.5
base_32xb128-300e-supervised_in1k  300 20   2.5e-4  .05  -     -     .1   .8  1   .5   yes 84.3
large_32xb128-300e-supervised_in1k 300 20   2.5e-4  .05  -     -     .1   .8  1   .5   yes 84.5

4096 21841 fcmae .001 # Table 12
name                               for ramp lr      wd   decay per   soft mix cut drop ema top1
nano_32xb128-90e-fcmae_in22k       90  5    2.5e-4  .05  .9    block .1   .8  1   0    no  -
tiny_32xb128-90e-fcmae_in22k       90  5    2.5e-4  .05  .9    block .1   .8  1   0    no  -
base_32xb128-90e-fcmae_in22k       90  5    2.5e-4  .05  .8    group .1   .8  1   .1   no  -
large_32xb128-90e-fcmae_in22k      90  5    2.5e-4  .05  .8    group .1   .8  1   .1   no  -
huge_64xb64-90e-fcmae_in22k        90  5    2.5e-4  .05  .8    group .1   .8  1   .3   no  -

512 1000 in22k .001 # Table 13
name                               for ramp lr      wd   decay per   soft mix cut drop ema top1
nano_8xb64-90e-in22k_in1k          90  0    2.5e-5  1e-8 .9    block .1   -   -   .1   yes 82.1
tiny_8xb64-90e-in22k_in1k          90  0    2.5e-5  1e-8 .9    block .1   -   -   .1   yes 83.9
base_8xb64-30e-in22k_in1k          30  0    2.5e-5  1e-8 .8    group .1   -   -   .2   yes 86.8
large_8xb64-30e-in22k_in1k         30  0    2.5e-5  1e-8 .8    group .1   -   -   .3   yes 87.3
nano_8xb64-90e-in22k_in1k-384      90  0    2.5e-5  1e-8 .9    block .1   -   -   .1   yes 83.4
tiny_8xb64-90e-in22k_in1k-384      90  0    2.5e-5  1e-8 .9    block .1   -   -   .1   yes 85.1
base_8xb64-30e-in22k_in1k-384      30  0    2.5e-5  1e-8 .8    group .1   -   -   .2   yes 87.7
large_16xb32-30e-in22k_in1k-384    30  0    2.5e-5  1e-8 .8    group .1   -   -   .3   yes 88.2
huge_32xb16-30e-in22k_in1k-384     30  0    2.5e-5  1e-8 .85   group .1   -   -   .5   no  88.7
huge_32xb16-30e-in22k_in1k-512     30  0    2.5e-5  1e-8 .85   group .1   -   -   .5   no  88.9
"""


class Recipe(NamedTuple):
    batch: int
    classes: int
    start: str
    head_scale: float
    epochs: int
    warmup: int
    lr: float
    weight_decay: float
    decay: tuple | None
    smoothing: float
    mixing: tuple | None
    drop_path: float
    averaged: bool
    top1: str | None
    arch: str
    size: int

    @property
    def checkpoint(self):
        """What training starts from: of IN-22K, what its own config writes at its end."""
        if self.start == "fcmae":
            return f"{RELEASED}/pt_only/convnextv2_{self.arch}_1k_224_fcmae.pt"
        if self.start == "in22k":
            gpus = "64xb64" if self.arch == "huge" else "32xb128"
            name = f"classifier_convnextv2-{self.arch}_{gpus}-90e-fcmae_in22k"
            return f"work_dirs/{name}/epoch_90.pth"
        return None


def read_table():
    """(name, recipe) of every row."""
    for section in SECTIONS.strip().split("\n\n"):
        head, _, *rows = section.splitlines()
        batch, classes, start, scale = head.partition("#")[0].split()
        for row in rows:
            name, epochs, warmup, lr, wd, decay, per, smooth, mixup, cutmix, *rest = row.split()
            drop, averaged, top1 = rest
            steps = {"block": BLOCKS, "group": GROUPS}
            yield (
                name,
                Recipe(
                    *(int(batch), int(classes), start, float(scale), int(epochs), int(warmup)),
                    *(float(lr), float(wd)),
                    None if decay == "-" else (float(decay), steps[per]),
                    float(smooth),
                    None if mixup == "-" else (float(mixup), float(cutmix)),
                    *(float(drop), averaged == "yes", None if top1 == "-" else top1),
                    name.split("_")[0],
                    int((re.search(r"in1k-(\d+)$", name) or [0, 224])[1]),
                ),
            )


TABLE = dict(read_table())


def read(name):
    return Config.fromfile(FOLDER / f"classifier_convnextv2-{name}.py")
