"""Batches of what is alike, in a stream of what is not, with the results in the stream's order."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 4  # batches' worth of items that may wait for their like


def run_in_groups(
    items: Iterable[Item],
    kind: Callable[[Item], Hashable],
    size: int,
    run: Callable[[list[Item]], Iterable[Result]],
) -> Iterator[Result]:
    """Yield the result of each item, in the items' order.

    Items that are alike are run together, though others may lie between them. No more than
    `AHEAD` batches' worth of items wait; then the oldest runs with those of its kind that are
    there.

    Args:
        items: A stream of any length.
        kind: Items of one kind can be run together.
        size: At most so many at once.
        run: Gives a result for each of some items of a kind.
    """
    groups: dict[Hashable, list[tuple[int, Item]]] = {}
    order: deque[tuple[int, Hashable]] = deque()  # of what has not been yielded
    done: dict[int, Result] = {}

    def finish(which: Hashable) -> None:
        group = groups.pop(which)
        results = run([item for _, item in group])
        done.update(zip((number for number, _ in group), results, strict=True))

    for number, item in enumerate(items):
        which = kind(item)
        order.append((number, which))
        groups.setdefault(which, []).append((number, item))
        if len(groups[which]) >= size:
            finish(which)
        elif len(order) - len(done) > AHEAD * size:
            finish(next(other for first, other in order if first not in done))
        while order and order[0][0] in done:
            yield done.pop(order.popleft()[0])
    while order:
        number, which = order.popleft()
        if number not in done:
            finish(which)
        yield done.pop(number)
