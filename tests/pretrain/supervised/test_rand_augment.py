"""RandAugment: each operation against one written apart, and what is drawn how often."""

import math

import numpy as np
import pytest
from PIL import Image

from convnextv2.pretrain.supervised import RandAugment
from convnextv2.pretrain.supervised.rand_augment import COLOUR, GEOMETRIC, Drawn

LEVELS = [0, 0.33, 0.7777, 0.9, 0.951, 1]
FILL = (124, 116, 104)


def photograph(height=21, width=26, channels=3):
    rng = np.random.default_rng(0)
    waves = rng.uniform(0.1, 0.7, (channels, 2))
    y, x = np.mgrid[:height, :width]
    bands = [120 + 80 * np.sin(a * y + b * x) + rng.uniform(-20, 20, y.shape) for a, b in waves]
    return np.stack(bands, axis=-1).round().clip(0, 255).astype(np.uint8)


# --- colours ------------------------------------------------------------------------------------


def grey(image):
    """ITU-R 601 as Pillow has it, in 16 bits."""
    r, g, b = (image[..., i].astype(np.int64) for i in range(3))
    return (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16


def blend(base, image, factor):
    """Truncated, as Pillow does it, and cut off at 0 and 255."""
    return np.trunc((base + factor * (image.astype(np.float64) - base)).clip(0, 255))


def smoothed(image):
    """3 x 3, the middle counting five times; the border stays."""
    out = image.astype(np.float64)
    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    for y in range(1, image.shape[0] - 1):
        for x in range(1, image.shape[1] - 1):
            window = image[y - 1 : y + 2, x - 1 : x + 2].astype(np.float64)
            out[y, x] = np.floor(np.einsum("ij,ijc->c", kernel, window) + 0.5)
    return out


def stretched(image, strength):
    """The darkest value of each channel to 0, the lightest to 255."""
    low, high = image.min((0, 1)).astype(np.float64), image.max((0, 1))
    return np.trunc(((image - low) * 255 / (high - low)).clip(0, 255) + 1e-9)


def flattened(image, strength):
    """Each channel's histogram made even."""
    out = np.empty(image.shape)
    for c in range(3):
        counts = np.bincount(image[..., c].ravel(), minlength=256)
        step = (counts.sum() - counts[counts.nonzero()[0][-1]]) // 255
        before = step // 2 + np.concatenate([[0], np.cumsum(counts)[:-1]])
        out[..., c] = np.minimum(before // step, 255)[image[..., c]]
    return out


EXPECTED = {
    "auto_contrast": stretched,
    "equalize": flattened,
    "invert": lambda image, s: 255 - image,
    "posterize": lambda image, s: (
        image.astype(int) >> 4 + math.floor(4 * abs(s)) << 4 + math.floor(4 * abs(s))
    ),
    "solarize": lambda image, s: np.where(
        image < 256 - math.floor(256 * abs(s)), image, 255 - image
    ),
    "solarize_add": lambda image, s: np.where(
        image < 128, np.minimum(image.astype(int) + math.floor(110 * abs(s)), 255), image
    ),
    "brightness": lambda image, s: blend(0, image, 1 + 0.9 * s),
    "contrast": lambda image, s: blend(int(grey(image).mean() + 0.5), image, 1 + 0.9 * s),
    "color": lambda image, s: blend(grey(image)[..., None], image, 1 + 0.9 * s),
    "sharpness": lambda image, s: blend(smoothed(image), image, 1 + 0.9 * s),
}


@pytest.mark.parametrize("name", COLOUR)
def test_colours_are_those_of_a_slow_reference(name):
    image = photograph()
    for strength in [sign * level for level in LEVELS for sign in (1, -1)]:
        out = np.asarray(COLOUR[name](Image.fromarray(image), strength)).astype(int)
        error = np.abs(out - EXPECTED[name](image, strength))
        # Pillow counts some of them in float32: a level where a value is almost whole.
        assert error.max() <= 1, strength
        assert error.mean() < 0.15, strength


def test_the_strongest_posterize_is_black():
    assert not np.asarray(COLOUR["posterize"](Image.fromarray(photograph()), 1.0)).any()


# --- geometry -----------------------------------------------------------------------------------


def source(name, strength, x, y, width, height):
    """Where the result's point (x, y) was, from the words of the table in the module."""
    if name == "rotate":  # counter-clockwise around the middle
        angle = math.radians(30 * strength)
        dx, dy = x - width / 2, y - height / 2
        return (
            width / 2 + dx * math.cos(angle) - dy * math.sin(angle),
            height / 2 + dx * math.sin(angle) + dy * math.cos(angle),
        )
    return {
        "shear_x": (x + 0.3 * strength * y, y),
        "shear_y": (x, y + 0.3 * strength * x),
        "translate_x": (x + 0.45 * strength * width, y),
        "translate_y": (x, y + 0.45 * strength * height),
    }[name]


def moved(image, name, strength, fill):
    """Nearest pixel, one by one."""
    height, width = image.shape[:2]
    out = np.empty_like(image)
    for y in range(height):
        for x in range(width):
            sx, sy = source(name, strength, x + 0.5, y + 0.5, width, height)
            inside = 0 <= sx < width and 0 <= sy < height
            out[y, x] = image[int(sy), int(sx)] if inside else fill
    return out


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", GEOMETRIC)
def test_pixels_come_from_where_they_should(name, sign):
    image = photograph()
    for level in LEVELS[1:]:
        how = {"resample": Image.Resampling.NEAREST, "fillcolor": FILL}
        out = np.asarray(GEOMETRIC[name](Image.fromarray(image), sign * level, how))
        expected = moved(image, name, sign * level, FILL)
        # A few pixels lie on the line between two.
        assert np.mean((out != expected).any(2)) < 0.02, level
        assert (out != image).any(), level


@pytest.mark.parametrize("name", GEOMETRIC)
@pytest.mark.parametrize(("channels", "dtype"), [(5, "uint8"), (3, "uint16"), (2, "float32")])
def test_bands_move_as_colours_do(name, channels, dtype):
    image = photograph(channels=channels).astype(dtype)
    image = image * 200 if dtype == "uint16" else image
    augment = RandAugment(num_ops=1, prob=1.0, interpolations=["nearest"])
    drawn = [Drawn(name, -0.9, Image.Resampling.NEAREST)]
    augment.draw = lambda names: drawn
    out = augment({"img": image})["img"]
    fill = image.mean((0, 1), dtype=np.float64)
    fill = fill if dtype == "float32" else fill.round()
    expected = moved(image, name, -0.9, fill.astype(dtype))
    different = np.abs(out.astype(np.float64) - expected).max(2) > 1e-3
    assert out.dtype == dtype
    assert different.mean() < 0.02


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_bicubic_waves_end_at_the_types_limits(dtype):
    """Stripes overshoot: what would be above the largest value is that, and below 0 it is 0."""
    top = np.iinfo(dtype).max
    image = np.zeros((20, 20, 4), dtype)
    image[:, ::4] = image[:, 1::4] = top
    augment = RandAugment(num_ops=1, prob=1.0)
    augment.draw = lambda names: [Drawn("shear_x", 0.9, Image.Resampling.BICUBIC)]
    exact = augment({"img": image.astype(np.float32)})["img"]
    assert exact.min() < -0.01 * top
    assert exact.max() > 1.01 * top
    out = augment({"img": image})["img"]
    assert np.array_equal(out, exact.round().clip(0, top).astype(dtype))


# --- what is drawn ------------------------------------------------------------------------------


def test_draws_are_those_of_the_recipe():
    np.random.seed(0)
    augment, names = RandAugment(interpolations=["bilinear", "bicubic"]), [*GEOMETRIC, *COLOUR]
    assert len(names) == 15
    draws = [augment.draw(names) for _ in range(6000)]
    counts = np.bincount([len(drawn) for drawn in draws]) / 6000
    assert counts == pytest.approx([0.25, 0.5, 0.25], abs=0.03)  # two, each with probability .5
    drawn = [one for some in draws for one in some]
    for name in names:
        assert sum(d.name == name for d in drawn) / len(drawn) == pytest.approx(1 / 15, abs=0.015)
    strengths = np.array([d.strength for d in drawn])
    assert (strengths > 0).mean() == pytest.approx(0.5, abs=0.03)
    assert np.abs(strengths).mean() == pytest.approx(0.9, abs=0.005)
    # A normal of mean 9 and deviation .5, of which what is above 10 (2.3%) becomes 10.
    assert np.mean(np.abs(strengths) == 1) == pytest.approx(0.0228, abs=0.008)
    assert np.mean(np.abs(strengths) < 0.85) == pytest.approx(0.1587, abs=0.02)
    bicubic = [d.resample == Image.Resampling.BICUBIC for d in drawn]
    assert np.mean(bicubic) == pytest.approx(0.5, abs=0.03)


def test_other_images_get_geometry_alone():
    augment, seen = RandAugment(), []
    augment.draw = lambda names: seen.append(set(names)) or []
    for image in (photograph(), photograph(channels=4), photograph().astype(np.uint16)):
        assert augment({"img": image})["img"] is image
    assert seen == [{*GEOMETRIC, *COLOUR}, set(GEOMETRIC), set(GEOMETRIC)]


def test_two_operations_follow_one_another():
    image = photograph()
    augment = RandAugment()
    augment.draw = lambda names: [Drawn("invert", 0.9, 0), Drawn("solarize", 0.5, 0)]
    inverted = 255 - image
    expected = np.where(inverted < 128, inverted, 255 - inverted)
    assert np.array_equal(augment({"img": image})["img"], expected)
    assert np.array_equal(image, photograph())  # the image given is left as it is


def test_it_depends_on_numpys_seed_alone():
    augment, outs = RandAugment(), []
    for _ in range(2):
        np.random.seed(5)
        outs.append([augment({"img": photograph()[:, ::-1]})["img"] for _ in range(20)])
    assert all(np.array_equal(a, b) for a, b in zip(*outs, strict=True))
    assert sum(not np.array_equal(out, photograph()[:, ::-1]) for out in outs[0]) > 8


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"interpolations": ["lanczos"]}, "interpolations"),
        ({"interpolations": []}, "interpolations"),
        ({"magnitude": 11}, "magnitude"),
        ({"magnitude_std": -1}, "std"),
    ],
)
def test_bad_values_are_refused_by_name(options, name):
    with pytest.raises(ValueError, match=name):
        RandAugment(**options)
