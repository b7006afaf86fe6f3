"""Before training, what the config does not say of the pixels is measured once."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, MODELS

from convnextv2.engine.measuring import MeasureStatisticsHook


class Runner:
    """As much of a runner as the hook asks."""

    def __init__(self, folder, preprocessor, **load):
        entry = {"type": "convnextv2.UnlabelledImages", "data_root": str(folder)}
        entry["pipeline"] = [{"type": "convnextv2.LoadImage", **load}]
        preprocessor = {"type": "convnextv2.FCMAEDataPreprocessor", **preprocessor}
        self.model = torch.nn.Module()
        self.model.data_preprocessor = MODELS.build(preprocessor)
        self.train_dataloader = torch.utils.data.DataLoader(DATASETS.build(entry))
        self.logger = MMLogger.get_instance("measuring")

    @property
    def found(self):
        preprocessor = self.model.data_preprocessor
        return preprocessor.mean.flatten().numpy(), preprocessor.std.flatten().numpy()


@pytest.fixture
def pixels(tmp_path):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 60000, (9, 8 + i, 3), dtype=np.uint16) for i in range(4)]
    for i, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"{i}.png"), image)  # its channels are blue, green, red
    return np.concatenate([image.reshape(-1, 3)[:, ::-1] for image in images])


MEASURED = {"mean": None, "std": None}


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_mean_and_std_are_those_of_the_pixels_in_the_order_rgb(tmp_path, pixels, order):
    runner = Runner(tmp_path, MEASURED, channel_order=order)
    before = torch.random.get_rng_state()
    MeasureStatisticsHook().before_train(runner)
    assert torch.equal(torch.random.get_rng_state(), before)  # of which training draws
    mean, std = runner.found
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-6)
    np.testing.assert_allclose(std, pixels.std(0), rtol=1e-6)


def test_the_type_of_the_loader_counts(tmp_path, pixels):
    runner = Runner(tmp_path, MEASURED, dtype="uint8")
    MeasureStatisticsHook().before_train(runner)
    np.testing.assert_allclose(runner.found[0], (pixels >> 8).mean(0), rtol=1e-6)


def test_a_sample_is_the_same_every_time(tmp_path, pixels):
    found = []
    for _ in range(2):
        runner = Runner(tmp_path, MEASURED)
        MeasureStatisticsHook(max_images=2).before_train(runner)
        found.append(runner.found)
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.allclose(found[0][0], pixels.mean(0), rtol=1e-6)


def test_what_is_given_or_loaded_stays(tmp_path, pixels):
    runner = Runner(tmp_path, {"mean": [1, 2, 3], "std": [4, 5, 6]})
    MeasureStatisticsHook().before_train(runner)
    assert runner.found[0].tolist() == [1, 2, 3]
    runner = Runner(tmp_path, MEASURED)
    runner.model.data_preprocessor.set_measured([7, 8, 9], [1, 1, 1])
    MeasureStatisticsHook().before_train(runner)
    assert runner.found[0].tolist() == [7, 8, 9]


def test_a_flat_band_is_said_and_not_divided_by(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((8, 8), 7, np.uint8))
    with pytest.raises(ValueError, match="a channel is the same everywhere"):
        MeasureStatisticsHook().before_train(Runner(tmp_path, MEASURED))
