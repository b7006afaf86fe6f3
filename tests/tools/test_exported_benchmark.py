"""benchmark.py exported: contestants take turns, and say what went wrong."""

from multiprocessing import Pipe
from threading import Thread

import pytest

from convnextv2.engine.errors import InputError
from convnextv2.tools.analysis_tools.benchmarks import exported, runners


@pytest.fixture
def ask(monkeypatch):
    """Name and what makes its predictor -> its link, answered by a thread."""

    def start(name, make):
        monkeypatch.setitem(runners.RUNNERS, name, make)
        mine, theirs = Pipe()
        links.append(mine)
        Thread(target=runners.answer, args=(name, {}, 1, theirs), daemon=True).start()
        return mine

    links = []
    yield start
    for link in links:
        link.close()


def test_contestants_take_turns(ask):
    turns = []

    def make(name):
        return lambda args, threads: (
            lambda images, batch_size=1: turns.append((name, len(images), batch_size)) or images,
            name,
        )

    links = {name: ask(name, make(name)) for name in ("torch", "other")}
    for name, link in links.items():
        exported.receive(name, link)
    turns.clear()
    found = exported.take_turns(links, 3, 2)
    assert turns == [("torch", 3, 3), ("other", 3, 3)] * 3
    assert list(found) == ["torch", "other"]
    rows = [{"name": n, "batch": 3, "threads": 1, "start_s": 1.0, **f} for n, f in found.items()]
    assert all(row["images_per_s"] > 0 and row["mb"] > 0 for row in rows)
    rows = [{**row, "images_per_s": 2.0, "processor_s": 0.5} for row in rows]
    assert exported.make_table("a title", rows).row_count == 2


def test_what_went_wrong_is_said(ask):
    def broken(args, threads):
        raise ValueError("no such file")

    with pytest.raises(InputError, match="other: ValueError: no such file"):
        exported.receive("other", ask("other", broken))
    mine, theirs = Pipe()
    theirs.close()
    with pytest.raises(InputError, match="other has died"):
        exported.receive("other", mine)
