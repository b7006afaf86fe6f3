"""What is alike runs together, and comes out in the order of the stream."""

import random

import pytest

from convnextv2.grouping import AHEAD, run_in_groups


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("kinds", [1, 3, 100])
def test_results_keep_their_order_and_batches_are_of_one_kind(size, kinds):
    rng = random.Random(0)
    items = [(number, rng.randrange(kinds)) for number in range(60)]
    batches, waiting, most = [], 0, 0

    def watch():
        nonlocal waiting, most
        for item in items:
            waiting += 1
            most = max(most, waiting)
            yield item

    def run(batch):
        nonlocal waiting
        waiting -= len(batch)
        assert len({kind for _, kind in batch}) == 1
        batches.append(len(batch))
        return [number * 10 for number, _ in batch]

    found = list(run_in_groups(watch(), lambda item: item[1], size, run))
    assert found == [number * 10 for number, _ in items]
    assert max(batches) <= size
    assert most <= AHEAD * size + 1
    if kinds == 3 and size == 2:  # that follow each other in a third of all cases
        assert batches.count(2) > 25


def test_a_result_is_there_as_soon_as_its_batch_is():
    seen = []

    def items():
        for number in range(4):
            seen.append(number)
            yield number

    results = run_in_groups(items(), lambda item: 0, 1, lambda batch: batch)
    assert next(results) == 0
    assert seen == [0]
