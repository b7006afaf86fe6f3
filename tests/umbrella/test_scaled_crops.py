"""A crop that is read alone is what it would be if the whole image were scaled and then cropped."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from convnextv2.images import LoadImage, UnreadableImageError
from convnextv2.scaled_crops import ScaledCrop, draw_scaled_shape, draw_window

CASES = [  # image, scaled image, window
    ((480, 640), (1333, 1777), (500, 211, 1524, 1235)),  # enlarged, of it a part
    ((480, 640), (480, 640), (33, 44, 200, 100)),  # as it is, of it a part
    ((480, 640), (400, 533), (0, 0, 533, 400)),  # shrunk, the whole
    ((480, 640), (401, 534), (100, 57, 534, 401)),  # shrunk, up to the last pixel
    ((97, 31), (193, 63), (1, 5, 2, 190)),
    ((20, 20), (500, 500), (250, 250, 500, 500)),  # one pixel of the image is many
    ((300, 300), (299, 301), (290, 200, 301, 299)),  # edges meet nowhere but at the start
    ((3, 200), (1, 50), (7, 0, 50, 1)),
    ((223, 80), (225, 80), (30, 130, 40, 158)),  # a part of as many pixels, between pixels
    ((13, 2), (1500, 200), (0, 865, 200, 1500)),  # a part of a pixel is a scaled pixel
]


def make_image(shape, channels=3, dtype=np.uint8):
    """Smooth shapes with hard edges."""
    rng = np.random.default_rng(0)
    blocks = rng.random((7, 9, channels)).astype(np.float32)
    bands = [
        cv2.resize(blocks[..., i], shape[::-1], interpolation=cv2.INTER_CUBIC)
        for i in range(channels)
    ]
    image = np.stack(bands, -1) * 180 + 40 * (np.indices(shape).sum(0) % 37 > 18)[..., None]
    return image.clip(0, 250).astype(dtype)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize(("channels", "dtype"), [(3, np.uint8), (5, np.uint16), (1, np.float32)])
def test_a_crop_of_the_image_is_that_of_the_scaled_image(case, channels, dtype):
    crop = ScaledCrop(*case)
    image = make_image(crop.image_shape, channels, dtype)
    x0, y0, x1, y1 = crop.window
    bands = [
        cv2.resize(image[..., i], crop.scaled_shape[::-1], interpolation=cv2.INTER_LINEAR)
        for i in range(channels)
    ]
    expected = np.stack(bands, -1)[y0:y1, x0:x1]
    got = crop.cut(image)
    assert got.dtype == dtype
    assert got.shape == (y1 - y0, x1 - x0, channels)
    # Where edges meet to a part of a pixel alone, that part of the contrast, and a rounding.
    np.testing.assert_allclose(got.astype(float), expected.astype(float), atol=3)
    assert np.abs(got.astype(float) - expected).mean() < 0.3


@pytest.mark.parametrize("case", CASES, ids=str)
def test_labels_are_those_of_the_nearest_pixel(case):
    crop = ScaledCrop(*case)
    labels = np.random.default_rng(0).integers(0, 256, crop.image_shape, dtype=np.uint8)
    whole = cv2.resize(labels, crop.scaled_shape[::-1], interpolation=cv2.INTER_NEAREST)
    x0, y0, x1, y1 = crop.window
    assert np.array_equal(crop.cut_labels(labels), whole[y0:y1, x0:x1])


def test_what_is_reduced_has_at_least_the_pixels_that_are_wanted():
    reductions = {
        scaled: ScaledCrop((480, 640), scaled, (0, 0, 1, 1)).reduction
        for scaled in [
            (960, 1280),
            (480, 640),
            (241, 321),
            (240, 320),
            (121, 160),
            (60, 81),
            (9, 9),
        ]
    }
    assert list(reductions.values()) == [1, 1, 1, 2, 2, 4, 8]


def write_jpeg(image, orientation=1):
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x112] = orientation
    Image.fromarray(image).save(file, "JPEG", quality=98, subsampling=0, exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("shape", [(160, 240), (163, 245)], ids=str)
@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_a_jpeg_that_is_decoded_smaller_is_at_the_same_place(orientation, shape, order):
    """Whichever way EXIF turns it: pixels are those of the whole, averaged before."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    smooth = cv2.resize(blocks, shape[::-1], interpolation=cv2.INTER_CUBIC)
    content = write_jpeg(smooth, orientation)
    load = LoadImage(channel_order=order)
    whole = load({"img_path": "a.jpg", "content": content})
    assert whole["img_shape"] == whole["ori_shape"] == (shape if orientation < 5 else shape[::-1])
    for factor in (2.5, 4.2):
        high, wide = (int(side / factor) for side in whole["ori_shape"])
        crop = ScaledCrop(whole["ori_shape"], (high, wide), (5, 3, wide, high - 2))
        assert crop.reduction in (2, 4)
        got = load({"img_path": "a.jpg", "content": content, "scaled_crop": crop})
        assert got["img_shape"] == crop.shape == got["img"].shape[:2]
        assert got["ori_shape"] == crop.image_shape
        difference = np.abs(got["img"].astype(int) - crop.cut(whole["img"]))
        # A pixel beside it would make some 20, as the next line shows.
        assert difference.max() <= 6
        moved = np.abs(np.diff(got["img"].astype(int), axis=1)).max()
        assert moved > 15


def test_means_stay_and_noise_fades_where_a_jpeg_is_decoded_smaller():
    """That is all that decoding at a reduced size changes: OpenCV's scaling leaves pixels out."""
    rng = np.random.default_rng(0)
    shapes = cv2.resize(rng.integers(60, 196, (8, 8, 3), dtype=np.uint8), (640, 480))
    noisy = (shapes + rng.normal(0, 15, (480, 640, 1))).clip(0, 255).astype(np.uint8)
    load = LoadImage()
    content = write_jpeg(noisy)
    whole = load({"img_path": "a.jpg", "content": content})["img"].astype(float)
    scaled = (110, 147)
    crop = ScaledCrop((480, 640), scaled, (0, 0, 147, 110))
    got = load({"img_path": "a.jpg", "content": content, "scaled_crop": crop})["img"].astype(float)
    aliased = crop.cut(whole.astype(np.uint8)).astype(float)
    np.testing.assert_allclose(got.mean((0, 1)), whole.mean((0, 1)), atol=0.3)
    averaged = cv2.resize(whole, scaled[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(got - averaged).mean() < 3 < np.abs(aliased - averaged).mean()
    assert averaged.std() < aliased.std()
    assert abs(got.std() - averaged.std()) < 1.5


def test_other_files_than_jpegs_and_other_bands_are_decoded_whole(tmp_path):
    image = make_image((160, 240), 4)
    np.save(tmp_path / "a.npy", image)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., :3])
    cv2.imwrite(str(tmp_path / "grey.jpg"), image[..., 0])
    crop = ScaledCrop((160, 240), (30, 45), (10, 10, 40, 25))
    for name, bands in (("a.npy", 4), ("a.png", 3), ("grey.jpg", 1)):
        load = LoadImage(bands)
        results = {"img_path": str(tmp_path / name)}
        whole = load(dict(results))["img"]
        got = load({**results, "scaled_crop": crop})["img"]
        assert np.array_equal(got, crop.cut(whole))


@pytest.mark.parametrize("scaled", [(160, 240), (40, 60)], ids=str)
def test_files_that_training_skips_are_named(scaled):
    content = write_jpeg(make_image((160, 240)))
    crop = ScaledCrop((240, 160), scaled[::-1], (0, 0, 10, 10))
    with pytest.raises(UnreadableImageError, match=r"^a\.jpg: .*its annotations say 240 x 160"):
        LoadImage()({"img_path": "a.jpg", "content": content, "scaled_crop": crop})
    crop = ScaledCrop((320, 480), (320, 480), (0, 0, 10, 10))  # it is a half of that
    with pytest.raises(UnreadableImageError, match="160 x 240 pixels, its annotations say 320"):
        LoadImage()({"img_path": "a.jpg", "content": content, "scaled_crop": crop})
    crop = ScaledCrop((160, 240), scaled, (0, 0, 10, 10))
    middle = len(content) // 2
    damaged = content[:middle] + bytes(40) + content[middle + 40 :]
    for broken, reason in ((content[:-600], "truncated"), (damaged, "Corrupt JPEG data")):
        with pytest.raises(UnreadableImageError, match=rf"^a\.jpg: {reason}"):
            LoadImage()({"img_path": "a.jpg", "content": broken, "scaled_crop": crop})


def test_draws_are_uniform_and_those_of_the_seed():
    np.random.seed(0)
    shapes = np.array([draw_scaled_shape((480, 640), (1024, 1024), (0.1, 2)) for _ in range(4000)])
    ratios = np.sort(shapes[:, 1] / 1024)
    uniform = np.linspace(0.1, 2, len(ratios))
    assert np.abs(ratios - uniform).max() < 0.06  # Kolmogorov-Smirnov's 0.1 % is at 0.059
    windows = np.array([draw_window((100, 300), (64, 128)) for _ in range(4000)])
    assert (windows[:, 2:] - windows[:, :2] == [128, 64]).all()
    assert windows[:, :2].min(0).tolist() == [0, 0]
    assert windows[:, :2].max(0).tolist() == [172, 36]
    np.testing.assert_allclose(windows[:, :2].mean(0), [86, 18], rtol=0.05)
    assert draw_window((50, 300), (64, 128))[1::2] == (0, 50)
