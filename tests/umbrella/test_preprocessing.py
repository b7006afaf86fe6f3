"""Bands are normalised by mean and std that are given, measured, or in the checkpoint."""

import numpy as np
import pytest
import torch
from mmengine.runner.checkpoint import load_state_dict

from convnextv2.pretrain import FCMAEDataPreprocessor

MEASURED = {"mean": None, "std": None}


def images(bands, dtype, top):
    rng = np.random.default_rng(bands)
    return (rng.random((2, bands, 6, 7)) * top).astype(dtype)


@pytest.mark.parametrize("bands", [1, 2, 3, 5, 12, 200])
@pytest.mark.parametrize(("dtype", "top"), [("uint8", 256), ("uint16", 65536), ("float32", 1e6)])
def test_each_band_is_normalised_by_its_own_mean_and_std(bands, dtype, top):
    mean, std = np.arange(1, bands + 1) * top / 300, np.arange(1, bands + 1) * top / 700
    given = images(bands, dtype, top)
    preprocess = FCMAEDataPreprocessor(mean.tolist(), std.tolist())
    got = preprocess({"inputs": [torch.from_numpy(image) for image in given]})["inputs"]
    assert got.dtype == torch.float32
    for i, image in enumerate(given):
        for band in range(bands):
            expected = (image[band].astype(np.float64) - mean[band]) / std[band]
            np.testing.assert_allclose(got[i, band], expected, rtol=1e-5, atol=1e-4)
    back = preprocess.denormalize(got)
    np.testing.assert_allclose(back, given.astype(np.float32), rtol=1e-4, atol=top * 1e-5)


def test_images_of_another_number_of_bands_are_refused():
    preprocess = FCMAEDataPreprocessor([1.0] * 5, [1.0] * 5)
    with pytest.raises(ValueError, match="the images have 3 channels, mean and std 5"):
        preprocess({"inputs": torch.zeros(1, 3, 4, 4)})
    measured = FCMAEDataPreprocessor(**MEASURED, in_channels=5)
    with pytest.raises(ValueError, match=r"3 channels, model\.data_preprocessor\.in_channels is 5"):
        measured.set_measured([1, 2, 3], [1, 2, 3])


def test_one_of_mean_and_std_is_not_enough():
    with pytest.raises(ValueError, match="mean has 2 channels, std 0"):
        FCMAEDataPreprocessor([1, 2], None)


def test_what_was_not_measured_is_not_used():
    preprocess = FCMAEDataPreprocessor(**MEASURED, in_channels=2)
    assert not preprocess.is_known()
    with pytest.raises(ValueError, match=r"not measured: load a checkpoint of a training.*mean"):
        preprocess({"inputs": torch.zeros(1, 2, 4, 4)})
    preprocess.set_measured([1, 2], [4, 5])
    assert preprocess.is_known()
    got = preprocess({"inputs": torch.full((1, 2, 1, 1), 9.0)})["inputs"].flatten().tolist()
    assert got == pytest.approx([2, 7 / 5])


def test_the_checkpoint_keeps_what_was_measured_and_nothing_that_was_given():
    assert not FCMAEDataPreprocessor().state_dict()
    source = FCMAEDataPreprocessor(**MEASURED, in_channels=2)
    source.set_measured([1, 2], [4, 5])
    target = FCMAEDataPreprocessor(**MEASURED, in_channels=2)
    target.load_state_dict(source.state_dict())
    assert target.is_known()
    assert torch.equal(target.mean, source.mean)
    assert torch.equal(target.std, source.std)


@pytest.mark.parametrize("load", [torch.nn.Module.load_state_dict, load_state_dict])
def test_a_checkpoint_that_disagrees_with_the_config_is_refused_with_the_remedy(load):
    """By torch and by mmengine; where a part may be missing, it is measured."""
    given, measured = (
        torch.nn.ModuleDict({"data_preprocessor": FCMAEDataPreprocessor(**options)})
        for options in ({}, MEASURED)
    )
    measured["data_preprocessor"].set_measured([1, 2, 3], [4, 5, 6])
    with pytest.raises(RuntimeError, match=r"mean \(the checkpoint has measured ones: set"):
        load(given, measured.state_dict(), strict=True)
    with pytest.raises(RuntimeError, match=r"mean \(the checkpoint has none: set mean and std"):
        load(measured, given.state_dict(), strict=True)
    load(measured, given.state_dict(), strict=False)
    assert measured["data_preprocessor"].mean.flatten().tolist() == [1, 2, 3]
