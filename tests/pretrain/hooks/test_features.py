"""What is logged of the features of a running training is true, for every kind of model."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import nn

from convnextv2.backbone import ConvNeXtV2
from convnextv2.engine.seeding import SeededIndex
from convnextv2.images import LoadImage
from convnextv2.pretrain import FCMAE, FeatureHook, KNNHook, analyse
from convnextv2.pretrain.hooks.features import list_scalars
from convnextv2.pretrain.probing import knn_leave_one_out

SMALL = {"depths": [1, 2, 1, 1], "channels": [4, 6, 8, 12]}


class Model(BaseModel):
    """Any task's: a backbone, and something that predicts."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.data_preprocessor = Preprocessor()

    def forward(self, inputs, data_samples=None, mode="loss"):
        raise AssertionError("only the backbone is looked at")


class Preprocessor(nn.Module):
    """Batches are dicts of lists."""

    def forward(self, data, training):
        assert not training
        assert len(data["inputs"]) == len(data["data_samples"]) == 1
        return {**data, "inputs": torch.stack(data["inputs"]).float() / 9}


class Images:
    """Samples of different sizes, as a detector's."""

    def __init__(self):
        self.asked = []

    def __len__(self):
        return 9

    def __getitem__(self, index):
        assert isinstance(index, SeededIndex)
        self.asked.append(int(index))
        generator = torch.Generator().manual_seed(int(index))
        inputs = torch.randn(3, 64, 64 + 32 * (int(index) % 2), generator=generator)
        return {"inputs": inputs, "data_samples": BaseDataElement(), "unreadable": ""}


class Runner:
    """What the hooks ask of a runner, and what they tell it."""

    def __init__(self, model, dataset=None):
        self.model, self.iter, self.max_iters = model, 0, 10
        self.train_dataloader = type("Loader", (), {"dataset": dataset})
        self.visualizer = self.logger = self
        self.scalars, self.lines, self.warnings = [], [], []

    def add_scalars(self, scalars, step):
        self.scalars.append((step, scalars))

    def info(self, line):
        self.lines.append(line)

    def warning(self, line):
        self.warnings.append(line)


def run(hook, runner):
    hook.before_train(runner)
    for i in range(runner.max_iters):
        runner.iter = i
        hook.after_train_iter(runner, i)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Model(ConvNeXtV2(SMALL, drop_path_rate=0.5)).train()


def test_every_layer_is_logged_at_the_interval_and_at_the_end(model):
    runner = Runner(model, Images())
    run(FeatureHook(interval=4, num_images=3), runner)
    assert runner.train_dataloader.dataset.asked == [0, 4, 8]
    assert [step for step, _ in runner.scalars] == [4, 8, 10]
    model.eval()
    batches = [
        (runner.train_dataloader.dataset[SeededIndex(i, 0, i)]["inputs"][None] / 9, None)
        for i in (0, 4, 8)
    ]
    expected = list_scalars(analyse(model.backbone, batches, "expansion"))
    assert all(scalars == expected for _, scalars in runner.scalars)
    kinds = {name.split("/")[0]: 0 for name in expected}
    for name in expected:
        kinds[name.split("/")[0]] += 1
    assert kinds == {
        "diversity": 4, "effective_rank": 4, "varying": 4, "distance": 5, "dead": 5, "saturated": 5
    }  # fmt: skip
    assert "0.5: unrelated, trained or not" in runner.lines[0]
    assert runner.warnings == []  # random weights are no collapse


def test_a_collapse_is_warned_of_and_training_goes_on(model):
    block = model.backbone.stages[3][0]
    model.backbone.downsample_layers[3][1].weight.data.zero_()
    model.backbone.downsample_layers[3][1].bias.data.copy_(torch.tensor([1.0, -1.0] * 6))
    block.pwconv2.weight.data.zero_()
    runner = Runner(model, Images())
    run(FeatureHook(interval=10), runner)
    assert any(
        line.startswith("collapsed: stage 4: nearly the same features") for line in runner.warnings
    )
    assert runner.scalars[0][1]["diversity/stage4"] == pytest.approx(0.5)  # which sees nothing
    assert model.training


def test_another_backbone_is_left_alone():
    runner = Runner(Model(nn.Identity()), Images())
    run(FeatureHook(interval=1), runner)
    assert runner.scalars == []
    assert runner.train_dataloader.dataset.asked == []


# --- k-NN -------------------------------------------------------------------------------------


@pytest.fixture
def labelled(tmp_path):
    """Six images of each of two classes, and one that cannot be read."""
    rng = np.random.default_rng(0)
    for name, shade in {"dark": 60, "light": 160}.items():
        (tmp_path / name).mkdir()
        for i in range(6):
            image = cv2.resize(rng.integers(0, 90, (6, 8, 3), dtype=np.uint8), (80, 64)) + shade
            cv2.imwrite(str(tmp_path / name / f"{i}.png"), image)
    (tmp_path / "light/6.png").write_bytes(b"no image")
    return tmp_path


def test_the_knn_is_that_of_averaged_features_and_changes_nothing(labelled):
    torch.manual_seed(0)
    model = FCMAE({"type": "convnextv2.ConvNeXtV2", "arch": SMALL, "drop_path_rate": 0.5})
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    runner = Runner(model)
    state = torch.get_rng_state()
    run(KNNHook(str(labelled), interval=4, size=64, batch_size=5, k=3), runner)
    assert torch.equal(state, torch.get_rng_state())
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())

    assert [step for step, _ in runner.scalars] == [0, 4, 8, 10]
    assert len(runner.warnings) == 1
    assert "1 of 13 images could not be read" in runner.warnings[0]
    paths = sorted(labelled.glob("*/[0-5].png"))
    images = [LoadImage()({"img_path": str(path)})["img"][:, 8:-8] for path in paths]
    images = torch.stack([torch.from_numpy(image.transpose(2, 0, 1).copy()) for image in images])
    mean, std = model.data_preprocessor.mean, model.data_preprocessor.std
    with torch.no_grad():
        maps = model.eval().backbone((images - mean) / std)
    labels = torch.tensor([0] * 6 + [1] * 6)
    for _, scalars in runner.scalars:
        for i, x in enumerate(maps, 1):
            assert scalars[f"knn/stage{i}"] == knn_leave_one_out(x.mean((2, 3)), labels, 3)


def test_one_class_cannot_be_told_apart(labelled):
    (labelled / "light").rename(labelled / "dark/light")
    with pytest.raises(ValueError, match="one class"):
        KNNHook(str(labelled))
    with pytest.raises(ValueError, match="at least 1"):
        KNNHook(str(labelled), interval=0)
