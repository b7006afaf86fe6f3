"""What a review keeps is bounded, and its failure is none of the validation's."""

import numpy as np
import pytest

from convnextv2.reviews import Review, ReviewedImage


class Toy(Review):
    """Samples are (score, rows)."""

    rest = "nothing"

    def look(self, sample):
        score, rows = sample
        return ReviewedImage("a.png", score, "", {"kind": np.array(rows)}, kept=score)

    def restore(self, kept):
        return kept


@pytest.fixture
def review():
    review = Toy(None, (), worst=2)
    review.dataset_meta = {"classes": ("a", "b")}
    return review


def test_only_the_worst_are_kept_to_be_drawn(review):
    scores = [0.5, 0.1, 1.0, 0.9, 0.3]
    for score in scores:
        review.process(None, [(score, [(0, 0, 1)])])
        assert sum(image.kept is not None for image in review.results) <= 2
    assert review.evaluate(len(scores)) == {}
    assert [image.score for image in review.worst_images()] == [0.1, 0.3]
    assert len(review.images) == 5


def test_pairs_add_up_to_a_table(review):
    review.process(None, [(0.5, [(0, 1, 3), (2, 0, 1)]), (0.5, [(0, 1, 2)])])
    review.evaluate(2)
    assert review.confusion()["kind"].tolist() == [[0, 5, 0], [0, 0, 0], [1, 0, 0]]


def test_images_of_the_last_batch_that_come_twice_count_once(review):
    """Of several processes all have as many images: mmengine cuts off what is more."""
    review.process(None, [(0.5, [(0, 0, 1)])] * 4)
    review.evaluate(3)
    assert review.confusion()["kind"].sum() == 3


def test_an_error_ends_the_review_and_nothing_else(review):
    review.process(None, [(0.5, [(0, 0, 1)]), ("no pair",)])
    review.process(None, [(0.5, [(0, 0, 1)])])
    assert review.evaluate(2) == {}
    assert review.images == []
