"""RandAugment (arXiv 1909.13719), in the form of the released recipes: `rand-m9-mstd0.5-inc1`.

| operation               | at strength s, 0 to 1; +- where a sign is drawn               |
|-------------------------|---------------------------------------------------------------|
| rotate                  | by +-30 s degrees                                             |
| shear_x, shear_y        | by +-.3 s                                                     |
| translate_x, _y         | by +-.45 s of the side                                        |
| auto_contrast, equalize | no strength                                                   |
| invert                  | no strength                                                   |
| posterize               | to 4 - floor(4 s) bits                                        |
| solarize                | inverts values from 256 - floor(256 s) on                     |
| solarize_add            | adds min(128, floor(110 s)) to values below 128, up to 255    |
| color, contrast,        | blend with grey, the mean, black or a smoothed image; factor  |
| brightness, sharpness   | 1 +- .9 s                                                     |

Every operation does more the stronger it is, which is what "increasing" says.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from PIL.Image import Resampling

from convnextv2.registry import TRANSFORMS

from .evaluation_crops import to_type

_STRONGEST = 10.0  # the magnitude of strength 1


class Drawn(NamedTuple):
    """An operation that is to be done."""

    name: str
    strength: float
    """-1 to 1."""
    resample: Resampling


@TRANSFORMS.register_module()
class RandAugment:
    """Do a few random operations, most of them with a random strength.

    Images of three channels and 8 bits are taken for colours. All others, such as those of more
    bands or 16 bits, have the geometric operations only, each band on its own and filled with its
    mean. Random numbers come from numpy's global generator, which is seeded for each sample.

    Args:
        magnitude: Mean of the strength, of 10.
        magnitude_std: Its standard deviation; what falls outside 0 to 10 is set to these.
        num_ops: Operations drawn for an image, with replacement.
        prob: Of each of them to be done.
        interpolations: Of geometric operations, one drawn each time: ``nearest``, ``bilinear``,
            ``bicubic``. The released recipes have the last alone.
        fill: Colour of what geometric operations bring into the image, 0 to 255; by default the
            mean of ImageNet.

    Raises:
        ValueError: An unknown interpolation, or a value outside its range.
    """

    def __init__(
        self,
        magnitude: float = 9,
        magnitude_std: float = 0.5,
        num_ops: int = 2,
        prob: float = 0.5,
        interpolations: Sequence[str] = ("bicubic",),
        fill: Sequence[int] = (124, 116, 104),
    ) -> None:
        known = [kind.name.lower() for kind in _RESAMPLE]
        if not interpolations or not set(interpolations) <= set(known):
            raise ValueError(f"interpolations must be some of {known}, got {interpolations}")
        if not 0 <= magnitude <= _STRONGEST or magnitude_std < 0:
            raise ValueError(
                f"magnitude must be 0 to 10 and its std 0 or more, got {magnitude}, {magnitude_std}"
            )
        self.magnitude = magnitude
        self.magnitude_std = magnitude_std
        self.num_ops = num_ops
        self.prob = prob
        self.resample = [Resampling[name.upper()] for name in interpolations]
        self.fill = tuple(fill)

    def __call__(self, results: dict) -> dict:
        image = results["img"]
        in_colour = image.dtype == np.uint8 and image.shape[2] == 3
        if drawn := self.draw([*GEOMETRIC, *COLOUR] if in_colour else list(GEOMETRIC)):
            augment = self._in_colour if in_colour else _band_by_band
            results["img"] = augment(image, drawn)
        return results

    def draw(self, names: Sequence[str]) -> list[Drawn]:
        """Draw what is done with the next image, of these operations."""
        drawn = []
        for name in [names[np.random.randint(len(names))] for _ in range(self.num_ops)]:
            if np.random.rand() < self.prob:
                level = np.random.normal(self.magnitude, self.magnitude_std)
                strength = min(max(float(level), 0.0), _STRONGEST) / _STRONGEST
                sign = 1 if np.random.rand() < 0.5 else -1
                resample = self.resample[np.random.randint(len(self.resample))]
                drawn.append(Drawn(name, sign * strength, resample))
        return drawn

    def _in_colour(self, image: np.ndarray, drawn: list[Drawn]) -> np.ndarray:
        picture = Image.fromarray(np.ascontiguousarray(image))
        for name, strength, resample in drawn:
            if name in COLOUR:
                picture = COLOUR[name](picture, strength)
            else:
                picture = GEOMETRIC[name](
                    picture, strength, {"resample": resample, "fillcolor": self.fill}
                )
        return np.asarray(picture)


def _band_by_band(image: np.ndarray, drawn: list[Drawn]) -> np.ndarray:
    bands = []
    for band in np.ascontiguousarray(image.transpose(2, 0, 1), np.float32):
        picture = Image.fromarray(band)
        for name, strength, resample in drawn:
            how = {"resample": resample, "fillcolor": float(band.mean())}
            picture = GEOMETRIC[name](picture, strength, how)
        bands.append(np.asarray(picture))
    return to_type(np.stack(bands, axis=-1), image.dtype)


# --- operations: a picture, a strength of -1 to 1, and how to interpolate and fill ----------------

_RESAMPLE = (Resampling.NEAREST, Resampling.BILINEAR, Resampling.BICUBIC)


def _affine(picture: Image.Image, matrix: tuple[float, ...], how: dict) -> Image.Image:
    """Row by row the matrix from a place in the result to one in the picture."""
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix, **how)


def _rotate(picture: Image.Image, strength: float, how: dict) -> Image.Image:
    return picture.rotate(30 * strength, **how)


def _shear_x(picture: Image.Image, strength: float, how: dict) -> Image.Image:
    return _affine(picture, (1, 0.3 * strength, 0, 0, 1, 0), how)


def _shear_y(picture: Image.Image, strength: float, how: dict) -> Image.Image:
    return _affine(picture, (1, 0, 0, 0.3 * strength, 1, 0), how)


def _translate_x(picture: Image.Image, strength: float, how: dict) -> Image.Image:
    return _affine(picture, (1, 0, 0.45 * strength * picture.width, 0, 1, 0), how)


def _translate_y(picture: Image.Image, strength: float, how: dict) -> Image.Image:
    return _affine(picture, (1, 0, 0, 0, 1, 0.45 * strength * picture.height), how)


def _auto_contrast(picture: Image.Image, strength: float) -> Image.Image:
    return ImageOps.autocontrast(picture)


def _equalize(picture: Image.Image, strength: float) -> Image.Image:
    return ImageOps.equalize(picture)


def _invert(picture: Image.Image, strength: float) -> Image.Image:
    return ImageOps.invert(picture)


def _posterize(picture: Image.Image, strength: float) -> Image.Image:
    bits = 4 - int(4 * abs(strength))  # 0 at full strength: black, which Pillow's own refuses
    mask = 256 - 2 ** (8 - bits)
    return picture.point([value & mask for value in range(256)] * 3)


def _solarize(picture: Image.Image, strength: float) -> Image.Image:
    return ImageOps.solarize(picture, 256 - int(256 * abs(strength)))


def _solarize_add(picture: Image.Image, strength: float) -> Image.Image:
    add = min(128, int(110 * abs(strength)))
    table = [min(255, value + add) if value < 128 else value for value in range(256)]
    return picture.point(table * 3)


def _enhance(kind: type) -> Callable[[Image.Image, float], Image.Image]:
    return lambda picture, strength: kind(picture).enhance(max(0.1, 1 + 0.9 * strength))


GEOMETRIC: Mapping[str, Callable[[Image.Image, float, dict], Image.Image]] = {
    "rotate": _rotate,
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "translate_x": _translate_x,
    "translate_y": _translate_y,
}
COLOUR: Mapping[str, Callable[[Image.Image, float], Image.Image]] = {
    "auto_contrast": _auto_contrast,
    "equalize": _equalize,
    "invert": _invert,
    "posterize": _posterize,
    "solarize": _solarize,
    "solarize_add": _solarize_add,
    "color": _enhance(ImageEnhance.Color),
    "contrast": _enhance(ImageEnhance.Contrast),
    "brightness": _enhance(ImageEnhance.Brightness),
    "sharpness": _enhance(ImageEnhance.Sharpness),
}
