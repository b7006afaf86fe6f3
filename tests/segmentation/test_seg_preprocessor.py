"""Ours is mmseg's for three bands, and the same for any other number."""

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
OPTIONS = {"size": (64, 64), "bgr_to_rgb": True}


def build(kind, **options):
    with DefaultScope.overwrite_default_scope("mmseg"):
        return MODELS.build({"type": kind, **OPTIONS, **options})


def batch(bands, dtype="uint8", top=256):
    rng = np.random.default_rng(0)
    inputs = [(rng.random((bands, h, w)) * top).astype(dtype) for h, w in ((20, 45), (33, 40))]
    samples = [SegDataSample(metainfo={"img_shape": image.shape[1:]}) for image in inputs]
    for sample, image in zip(samples, inputs, strict=True):
        sample.gt_sem_seg = PixelData(data=torch.zeros(1, *image.shape[1:], dtype=torch.long))
    return {"inputs": [torch.from_numpy(image) for image in inputs], "data_samples": samples}


def one(bands):
    return {key: values[:1] for key, values in batch(bands).items()}


@pytest.mark.parametrize("training", [False, True])
def test_three_bands_become_what_mmseg_makes_of_them(training):
    options = {"mean": MEAN, "std": STD, "test_cfg": {"size_divisor": 32}}
    data = [batch(3) if training else one(3) for _ in range(2)]
    expected = build("SegDataPreProcessor", **options)(data[0], training)
    got = build("convnextv2.SegDataPreProcessor", **options)(data[1], training)
    assert torch.equal(got["inputs"], expected["inputs"])
    for ours, theirs in zip(got["data_samples"], expected["data_samples"], strict=True):
        assert ours.metainfo == theirs.metainfo


@pytest.mark.parametrize(("dtype", "top"), [("uint8", 256), ("uint16", 65536), ("float32", 9.0)])
@pytest.mark.parametrize("bands", [1, 2, 5, 12])
def test_any_number_of_bands_is_normalised_and_padded(bands, dtype, top):
    mean, std = [top / 3 + i for i in range(bands)], [top / 5 + i for i in range(bands)]
    data = batch(bands, dtype, top)
    got = build("convnextv2.SegDataPreProcessor", mean=mean, std=std)(data, True)["inputs"]
    assert got.shape == (2, bands, 64, 64)
    for image, out in zip(data["inputs"], got.numpy(), strict=True):
        _, height, width = image.shape
        for band in range(bands):
            expected = (image[band].numpy().astype(np.float64) - mean[band]) / std[band]
            np.testing.assert_allclose(out[band, :height, :width], expected, rtol=1e-5, atol=1e-5)
        assert not out[:, height:].any()  # the mean
        assert not out[:, :, width:].any()
