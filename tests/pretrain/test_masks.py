"""Patches and masks against loops written from their definition."""

import torch

from convnextv2.pretrain import patchify, random_mask, unpatchify


def test_patchify_equals_a_loop_over_pixels():
    """Patch by patch, row by row, channel fastest; rectangular and with two channels."""
    b, c, height, width, p = 2, 2, 6, 9, 3
    images = torch.arange(b * c * height * width).view(b, c, height, width)
    expected = torch.empty(b, 6, p * p * c, dtype=images.dtype)
    for i in range(b):
        for y in range(height):
            for x in range(width):
                for k in range(c):
                    patch = (y // p) * (width // p) + x // p
                    inside = ((y % p) * p + x % p) * c + k
                    expected[i, patch, inside] = images[i, k, y, x]
    assert torch.equal(patchify(images, p), expected)


def test_patchify_of_hand_made_numbers():
    image = torch.tensor([[[[1, 2, 3, 4], [5, 6, 7, 8]]]])
    assert patchify(image, 2).tolist() == [[[1, 2, 5, 6], [3, 4, 7, 8]]]


def test_unpatchify_is_the_inverse():
    images = torch.randn(2, 5, 64, 96)
    assert torch.equal(unpatchify(patchify(images, 32), 32, 64, 96), images)


def test_masks_hide_the_ratio_and_depend_on_their_own_seed_alone():
    seeds = torch.tensor([5, 6, 7, 5])
    masks = random_mask(7, 7, 0.6, seeds)
    assert masks.flatten(1).sum(1).tolist() == [19] * 4  # paper: 19 of 49 are visible
    assert torch.equal(masks[0], masks[3])
    assert not torch.equal(masks[0], masks[1])
    assert torch.equal(random_mask(7, 7, 0.6, seeds[1:2])[0], masks[1])


def test_at_least_one_patch_is_visible_and_one_hidden():
    seeds = torch.arange(3)
    assert random_mask(2, 2, 0.99, seeds).flatten(1).sum(1).tolist() == [1, 1, 1]
    assert random_mask(1, 2, 0.01, seeds).flatten(1).sum(1).tolist() == [1, 1, 1]
    assert random_mask(5, 10, 0.6, seeds).flatten(1).sum(1).tolist() == [20, 20, 20]


def test_every_patch_is_visible_equally_often():
    share = random_mask(3, 4, 0.5, torch.arange(4000)).float().mean(0)
    torch.testing.assert_close(share, torch.full((3, 4), 0.5), rtol=0, atol=0.04)
