"""mmcv's RoIAlign reads the backbone's and the neck's maps as they are meant."""

import pytest
import torch
from mmcv.ops import RoIAlign
from mmdet.models.necks import FPN

from convnextv2.backbone import ConvNeXtV2


@pytest.mark.parametrize("output_norm", [True, False])
def test_pooling_a_whole_map_cell_by_cell_gives_the_map(output_norm):
    # RoIAlign has no check of its own: given channels-last memory it returns wrong values.
    torch.manual_seed(0)
    backbone = ConvNeXtV2("atto", output_norm=output_norm).eval()
    neck = FPN(list(backbone.channels), out_channels=8, num_outs=5).eval()
    with torch.no_grad():
        maps = backbone(torch.randn(2, 3, 96, 160))
        for features in (*maps, *neck(maps)):
            height, width = features.shape[2:]
            whole = torch.tensor([[i, 0.0, 0.0, width, height] for i in range(2)])
            pooled = RoIAlign((height, width), 1.0, sampling_ratio=1, aligned=True)(features, whole)
            torch.testing.assert_close(pooled, features.contiguous())
