"""Test images are drawn while the next ones are computed, and what fails there is raised."""

import threading
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from convnextv2.engine import drawing
from convnextv2.engine.drawing import DrawPredictionsHook


class Sample(SimpleNamespace):
    def cpu(self):
        return self


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("background")]


@pytest.fixture
def draw(monkeypatch):
    """To be replaced: what draws a sample. The rest of a test is as little as the hook needs."""

    def give(how):
        monkeypatch.setattr(drawing, "draw_beside", lambda task, picture, sample, *_: how(sample))

    monkeypatch.setattr(drawing, "is_a", lambda *_: True)
    monkeypatch.setattr(drawing, "read_image", lambda *_: np.zeros((8, 8, 3), np.uint8))
    return give


def start(folder, batch_size=1):
    dataset = SimpleNamespace(metainfo={"classes": ["thing"]})
    loader = SimpleNamespace(dataset=dataset, batch_size=batch_size)
    runner = SimpleNamespace(model=object(), test_dataloader=loader)
    hook = DrawPredictionsHook(str(folder))
    hook.before_test(runner)
    return hook, runner


def grey(sample):
    return np.full((8, 16, 3), sample.value, np.uint8)


def test_each_image_is_drawn_when_the_test_has_ended(tmp_path, draw):
    draw(grey)
    hook, runner = start(tmp_path, batch_size=3)
    values = range(0, 120, 10)
    for first in range(0, 12, 3):
        batch = [Sample(img_path=f"a/{v}.jpg", value=v) for v in values[first : first + 3]]
        hook.after_test_iter(runner, first, outputs=batch)
    hook.after_test(runner)
    for value in values:
        assert (cv2.imread(str(tmp_path / f"{value}.jpg.png")) == value).all()
    assert not threads()


def test_the_model_goes_on_and_few_samples_wait(tmp_path, draw):
    go, started = threading.Event(), []

    def wait(sample):
        started.append(sample.value)
        assert go.wait(10)
        return grey(sample)

    draw(wait)
    hook, runner = start(tmp_path)

    def test(number):
        hook.after_test_iter(runner, number, outputs=[Sample(img_path=f"{number}", value=number)])

    test(0)
    test(1)  # nothing is drawn, and the loop came here
    assert not list(tmp_path.glob("[01].png"))
    third = threading.Thread(target=test, args=(2,))
    third.start()
    third.join(0.2)
    assert third.is_alive()  # it waits: two are kept, no more
    go.set()
    third.join(10)
    hook.after_test(runner)
    assert started == [0, 1, 2]
    assert {Path(p).name for p in tmp_path.glob("[012].png")} == {"0.png", "1.png", "2.png"}


@pytest.mark.parametrize("failing", [0, 5])
def test_an_error_of_the_drawing_reaches_the_test(tmp_path, draw, failing):
    def fail(sample):
        if sample.value == failing:
            raise OSError("disk full")
        return grey(sample)

    draw(fail)
    hook, runner = start(tmp_path)

    def test():
        for number in range(6):
            sample = Sample(img_path=f"{number}", value=number)
            hook.after_test_iter(runner, number, outputs=[sample])
        hook.after_test(runner)

    with pytest.raises(OSError, match="disk full"):
        test()
    with suppress(OSError):  # the thread of a test that fails ends with the command
        hook.later.finish()
    assert not threads()
