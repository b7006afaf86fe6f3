"""Without sparse convolution: the backbone sees an image whose hidden patches are grey.

The paper's row "w/o sparse" (section 3.1), not an equal of the other encoders: hidden places have
features, whose 7x7 windows reach into what is visible and whose responses count in GRN's norms.
"""

from collections.abc import Sequence

from torch import Tensor

from convnextv2.backbone import ConvNeXtV2

from .dense import resize_mask


def encode_masked_image(
    backbone: ConvNeXtV2, images: Tensor, mask: Tensor, out_indices: Sequence[int] = (3,)
) -> tuple[Tensor, ...]:
    """Run the whole backbone on images (B, C, H, W) that are 0, the mean, where hidden.

    Returns:
        Features (B, C, H/s, W/s) of the stages of `out_indices`, of hidden places too.
    """
    hidden = ~resize_mask(mask.to(images.device), images.shape[2:])
    x = images.masked_fill(hidden, 0)
    maps = {}
    for i, (downsample, stage) in enumerate(backbone.levels()):
        x = downsample(x)
        for block in stage:
            x = backbone.run(block, x)
        maps[i] = x
    return tuple(maps[i] for i in out_indices)
