"""The classifier is the released one: logits, gradients and loss held against others' code."""

import math

import pytest
import torch
from mmengine.registry import MODELS

from convnextv2.backbone.checkpoint_keys import convert_keys
from convnextv2.pretrain.supervised import Classifier, ClassSample, MixBatch

ARCH = {"depths": (1, 1, 2, 1), "channels": (4, 8, 12, 16)}
CLASSES = 5


def make(**options):
    torch.manual_seed(0)
    backbone = {"type": "convnextv2.ConvNeXtV2", "arch": ARCH}
    model = Classifier(backbone, CLASSES, **options).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def released_names(model):
    """Its tensors by the released names."""
    tensors = model.state_dict()
    return {name.removeprefix("backbone."): tensor for name, tensor in tensors.items()}


def samples(labels, seed=0):
    return [
        ClassSample(
            gt_label=torch.tensor([label]), metainfo={"img_path": "a.jpg", "seed": seed + i}
        )
        for i, label in enumerate(labels)
    ]


@pytest.fixture
def images():
    return torch.randn(4, 3, 64, 96, generator=torch.Generator().manual_seed(1)).double()


def test_logits_and_gradients_are_those_of_transformers(images):
    transformers = pytest.importorskip("transformers")
    config = transformers.ConvNextV2Config(
        depths=list(ARCH["depths"]),
        hidden_sizes=list(ARCH["channels"]),
        num_labels=CLASSES,
        layer_norm_eps=1e-12,
    )
    theirs = transformers.ConvNextV2ForImageClassification(config).double().eval()
    # Their norm behind the pooling takes its epsilon of the config, those of the blocks 1e-6.
    theirs.convnextv2.layernorm.eps = 1e-6
    ours = make().eval()
    converted = convert_keys(released_names(ours), "convnextv2", "transformers")
    assert not converted.unknown
    theirs.load_state_dict(converted.tensors)

    logits = [ours(images), theirs(pixel_values=images).logits]
    torch.testing.assert_close(*logits, rtol=1e-10, atol=1e-12)
    weights = torch.randn(len(images), CLASSES).double()
    for one in logits:
        (one * weights).sum().backward()
    gradients = {name: p.grad for name, p in theirs.named_parameters()}
    named = {name.removeprefix("backbone."): p.grad for name, p in ours.named_parameters()}
    for name, gradient in convert_keys(named, "convnextv2", "transformers").tensors.items():
        torch.testing.assert_close(gradient, gradients[name], rtol=1e-8, atol=1e-10)


def test_logits_are_the_head_of_the_normalised_mean(images):
    """By a loop over the images, in float64."""
    model = make().eval()
    for image, logits in zip(images, model(images), strict=True):
        (features,) = model.backbone(image[None])
        pooled = torch.stack([channel.sum() / channel.numel() for channel in features[0]])
        deviation = ((pooled - pooled.mean()) ** 2).mean()
        pooled = (pooled - pooled.mean()) / (deviation + 1e-6).sqrt()
        pooled = pooled * model.norm.weight + model.norm.bias
        expected = [pooled @ row + bias for row, bias in zip(*model.head.parameters(), strict=True)]
        torch.testing.assert_close(logits, torch.stack(expected))


def smoothed_loss(logits, label, smoothing):
    """Of one image, from the definition."""
    target = [smoothing / len(logits)] * len(logits)
    target[label] += 1 - smoothing
    total = math.log(sum(math.exp(value) for value in logits))
    return -sum(t * (value - total) for t, value in zip(target, logits, strict=True))


def test_loss_is_that_of_smoothed_labels(images):
    model, labels = make(label_smoothing=0.2).eval(), [0, 3, 4, 1]
    loss = model(images, samples(labels), mode="loss")["loss"]
    rows = model(images).tolist()
    expected = [smoothed_loss(row, label, 0.2) for row, label in zip(rows, labels, strict=True)]
    assert loss.item() == pytest.approx(sum(expected) / len(expected), rel=1e-12)


@pytest.mark.parametrize("kind", ["mixup_alpha", "cutmix_alpha"])
def test_loss_of_mixed_images_has_the_labels_of_both(images, kind):
    mixing = {"mixup_alpha": 0.0, "cutmix_alpha": 0.0, kind: 1.0}
    model = make(label_smoothing=0.1, mixing={"type": "convnextv2.MixBatch", **mixing}).eval()
    labels = [0, 3, 4, 1]
    loss = model(images, samples(labels), mode="loss")["loss"]
    mixed, others, share = MixBatch(**mixing)(images, torch.tensor(labels), torch.arange(4))
    assert others.tolist() == labels[::-1]
    assert 0 < share[0] < 1
    expected = 0
    for row, own, other, part in zip(
        model(mixed).tolist(), labels, others.tolist(), share.tolist(), strict=True
    ):
        expected += part * smoothed_loss(row, own, 0.1)
        expected += (1 - part) * smoothed_loss(row, other, 0.1)
    assert loss.item() == pytest.approx(expected / len(labels), rel=1e-12)


def test_predictions_sum_to_one_and_keep_the_sample(images):
    model = make().eval()
    found = model(images, samples([0, 1, 2, 3]), mode="predict")
    for sample, logits, label in zip(found, model(images), range(4), strict=True):
        expected = logits.exp() / logits.exp().sum()
        torch.testing.assert_close(sample.pred_scores.double(), expected, rtol=1e-6, atol=1e-7)
        assert sample.pred_label.tolist() == [expected.argmax().item()]
        assert sample.gt_label.tolist() == [label]
    assert len(model(images, mode="predict")) == len(images)


def test_head_begins_small_to_fine_tune_and_its_bias_at_nothing():
    backbone = {"type": "convnextv2.ConvNeXtV2", "arch": ARCH}
    for scale in (1.0, 0.001):
        head = Classifier(backbone, 2000, head_init_scale=scale).head
        assert head.weight.std().item() == pytest.approx(0.02 * scale, rel=0.05)
        assert not head.bias.any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_classes": 1}, "2 or more"),
        ({"num_classes": 3, "label_smoothing": 1.0}, "label_smoothing"),
    ],
)
def test_options_outside_their_range_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Classifier({"type": "convnextv2.ConvNeXtV2", "arch": ARCH}, **options)


def test_a_loss_that_is_not_finite_stops_before_the_weights_are_spoilt(images):
    model = make()
    with pytest.raises(FloatingPointError, match=r"a\.jpg"):
        model(images * math.nan, samples([0, 1, 2, 3]), mode="loss")


def test_batch_of_the_loader_trains_through_the_registry():
    model = MODELS.build(
        {
            "type": "convnextv2.Classifier",
            "backbone": {"type": "convnextv2.ConvNeXtV2", "arch": ARCH},
            "num_classes": CLASSES,
        }
    )
    pixels = [torch.randint(0, 255, (3, 32, 32), dtype=torch.uint8) for _ in range(2)]
    data = model.data_preprocessor({"inputs": pixels, "data_samples": samples([1, 2])}, True)
    loss = model(**data, mode="loss")["loss"]
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
