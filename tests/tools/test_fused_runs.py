"""A pre-training with fused blocks, their kernels run by Triton's interpreter."""

import sys

import pytest
import torch
from processes import last_state, train

FUSED = [
    "model.backbone.block=convnextv2.FusedBlock",
    "model.decoder.type=convnextv2.FCMAEDecoder",
    "model.decoder.block=convnextv2.FusedBlock",
]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Triton is for Linux")
def test_pre_training_with_fused_blocks_ends_at_the_same_weights(cwd, finished):
    plain = finished("fcmae-by-iter")
    fused = train(cwd, "fcmae-by-iter", "work_dirs/fused", options=FUSED, TRITON_INTERPRET="1")
    (name, expected), (other, got) = last_state(plain), last_state(fused)
    assert name == other
    weights = expected["state_dict"]
    assert got["state_dict"].keys() == weights.keys()
    for key, value in weights.items():
        torch.testing.assert_close(got["state_dict"][key], value, rtol=1e-3, atol=1e-4)
    # Other operations: the last bits differ.
    assert any(not torch.equal(got["state_dict"][key], value) for key, value in weights.items())
