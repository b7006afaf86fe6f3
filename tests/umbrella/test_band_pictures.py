"""An image of any bands and any type of values can be looked at."""

import argparse

import numpy as np
import pytest

from convnextv2.band_pictures import show_bands
from convnextv2.engine.cli import add_show_bands
from convnextv2.engine.errors import InputError
from convnextv2.pictures import to_rgb

RAMP = np.linspace(0, 1, 101 * 3).reshape(3, 101, 1)


def image(channels, dtype, top):
    """Bands that are alike but for their brightness."""
    return (RAMP * top / np.arange(1, channels + 1)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_eight_bits_stay_as_they_are(dtype):
    given = image(3, dtype, 255)
    assert np.array_equal(to_rgb(given), given[..., ::-1].round().astype(np.uint8))
    assert np.array_equal(to_rgb(given, 2)[::2, 1::2], to_rgb(given))
    bands = image(5, np.uint8, 255)
    assert np.array_equal(to_rgb(bands), bands[..., :3])


def test_colours_that_augmentation_made_brighter_are_cut_off():
    assert np.array_equal(
        to_rgb(np.full((2, 2, 3), 300, np.float32)), np.full((2, 2, 3), 255, np.uint8)
    )


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 12])
@pytest.mark.parametrize(("dtype", "top"), [(np.uint16, 60000), (np.uint16, 900), ("f4", 0.01)])
def test_other_values_are_stretched_to_black_and_white(channels, dtype, top):
    picture = to_rgb(image(channels, dtype, top))
    assert (picture.shape, picture.dtype) == ((3, 101, 3), np.uint8)
    assert (picture.min(), picture.max()) == (0, 255)
    if channels == 3:  # colours keep their relation: red was the darkest
        assert picture[-1, -1].tolist() == pytest.approx([86, 128, 255], abs=3)
    else:  # each band by itself
        assert np.abs(picture.astype(int) - picture[..., :1]).max() <= 2


def test_the_bands_that_are_asked_for_are_shown():
    bands = np.zeros((2, 2, 5), np.uint8) + np.arange(5, dtype=np.uint8) * 10
    assert to_rgb(bands, bands=(4, 3, 2))[0, 0].tolist() == [30, 20, 10]
    assert to_rgb(bands, bands=(5,))[0, 0].tolist() == [40, 40, 40]
    assert to_rgb(bands[..., :2])[0, 0].tolist() == [0, 0, 0]  # the first, as grey
    assert to_rgb(bands[..., :3], bands=(1, 2, 3))[0, 0].tolist() == [20, 10, 0]  # BGR as loaded
    with pytest.raises(InputError, match="from 1 to 5, not 4, 3, 6"):
        to_rgb(bands, bands=(4, 3, 6))


def test_a_flat_image_is_no_reason_to_fail():
    for value in (0, 7):
        assert to_rgb(np.full((2, 2, 1), value, np.uint16)).max() == 0


def test_pictures_of_one_row_have_one_brightness():
    first = image(1, np.float32, 1000)
    _, dark = show_bands([first, first / 2])
    assert 125 <= dark.max() <= 131


def test_the_option_takes_one_band_or_three():
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_show_bands(parser)
    assert parser.parse_args([]).show_bands is None
    assert parser.parse_args(["--show-bands", "4,3,2"]).show_bands == (4, 3, 2)
    for wrong in ("4,3", "0", "a", "1,2,3,4"):
        with pytest.raises(argparse.ArgumentError, match="neither one band nor three"):
            parser.parse_args(["--show-bands", wrong])
