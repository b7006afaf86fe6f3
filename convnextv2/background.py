"""Reading and writing while something else computes: in one thread each, and in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, TypeVar, cast

Item = TypeVar("Item")
AHEAD = 2  # batches that are read, and drawn, while another is computed


def read_ahead(items: Iterable[Item], ahead: int) -> Generator[Item, None, None]:
    """Yield the items in their order; a thread gets the next ones meanwhile.

    An error of the items' is raised in its place. The thread has ended when the iterator has,
    also where it is closed early.

    Args:
        items: Are asked for in the thread, one after the other.
        ahead: At most so many wait.
    """
    iterator, end = iter(items), object()
    pool = ThreadPoolExecutor(1, "read_ahead")
    try:
        waiting = deque(pool.submit(next, iterator, end) for _ in range(ahead))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(pool.submit(next, iterator, end))
            yield cast("Item", item)
    finally:
        pool.shutdown(cancel_futures=True)


class Background(AbstractContextManager):
    """Does what it is given in a thread, in order; a context manager, after which all is done.

    An error is raised at one of the next calls, or at the end if there is no other error. Where
    ``with`` does not fit, `finish` ends it.

    Args:
        most: Jobs that may wait or run; to give it more waits for the oldest.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._pool = ThreadPoolExecutor(1, "background")
        self._jobs: deque[Future] = deque()

    def __call__(self, work: Callable, *args: Any) -> None:
        """Do ``work(*args)`` later."""
        while self._jobs and (len(self._jobs) >= self.most or self._jobs[0].done()):
            self._jobs.popleft().result()
        self._jobs.append(self._pool.submit(work, *args))

    def finish(self) -> None:
        """Wait until all is done; raise what failed."""
        self._pool.shutdown()
        for job in self._jobs:
            job.result()

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            self.finish()
        else:
            self._pool.shutdown()
