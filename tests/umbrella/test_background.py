"""Reading ahead and writing behind: in order, bounded, with their errors, and no thread left."""

import threading

import cv2
import numpy as np
import pytest
import torch

from convnextv2.background import Background, read_ahead
from convnextv2.images import LoadImage, UnreadableImageError
from convnextv2.predictor import ImageModel


def threads():
    return [t for t in threading.enumerate() if t.name.startswith(("read_ahead", "background"))]


@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_items_come_in_order_and_few_wait(ahead):
    begun, taken, most = 0, 0, 0

    def items():
        nonlocal begun, most
        for number in range(50):
            begun += 1
            most = max(most, begun - taken)
            yield number

    found = []
    for number in read_ahead(items(), ahead):
        found.append(number)
        taken += 1
    assert found == list(range(50))
    assert most <= ahead + 1
    assert not threads()


def test_the_next_item_is_read_while_one_is_used():
    read = threading.Event()

    def items():
        yield 0
        read.set()
        yield 1

    stream = read_ahead(items(), 1)
    assert next(stream) == 0
    assert read.wait(10)
    assert list(stream) == [1]


def test_an_error_comes_in_its_place_and_leaves_no_thread():
    def items():
        yield 0
        raise ValueError("no image")

    stream = read_ahead(items(), 3)
    assert next(stream) == 0
    with pytest.raises(ValueError, match="no image"):
        next(stream)
    assert not threads()


def test_a_reader_that_is_closed_early_leaves_no_thread():
    stream = read_ahead(iter(range(1000)), 2)
    assert next(stream) == 0
    stream.close()
    assert not threads()


def test_jobs_are_done_in_order_and_few_wait():
    go, done = threading.Event(), []

    def work(number):
        go.wait(10)
        done.append(number)

    with Background(2) as later:
        later(work, 0)
        later(work, 1)
        assert done == []  # while they wait the caller goes on
        threading.Timer(0.05, go.set).start()
        later(work, 2)
        assert done[:1] == [0]
    assert done == [0, 1, 2]
    assert not threads()


def test_an_error_of_a_job_is_raised():
    def fail():
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), Background(2) as later:
        later(fail)
    later = Background(1)
    later(fail)
    with pytest.raises(OSError, match="disk full"):
        later(print)
    later(fail)
    with pytest.raises(OSError, match="disk full"):
        later.finish()
    assert not threads()


def test_jobs_are_done_though_the_caller_fails():
    done = []

    def run_out_of_memory():
        with Background(2) as later:
            later(done.append, 0)
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        run_out_of_memory()
    assert done == [0]
    assert not threads()


class Found:
    def __init__(self, value):
        self.value = value

    def cpu(self):
        return self


class Model:
    """Finds the mean of an image."""

    def test_step(self, data):
        return [Found(image.float().mean().item()) for image in data["inputs"]]


class Task:
    def prepare(self, results):
        pass

    def trim(self, found):
        pass


def pack(results):
    return {"inputs": torch.from_numpy(results["img"]), "data_samples": None}


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_an_unreadable_image_does_not_stop_the_others(tmp_path, ahead):
    paths = [str(tmp_path / f"{i}.png") for i in range(6)]
    for i, path in enumerate(paths):
        cv2.imwrite(path, np.full((8, 8, 3), 10 * i, np.uint8))
    (tmp_path / "2.png").write_text("no image")
    model, unreadable = ImageModel(Task(), Model(), [LoadImage(), pack]), []
    found = list(model(paths, unreadable=unreadable, ahead=ahead))
    assert [one.source for one in found] == [p for p in paths if "2.png" not in p]
    assert [one.sample.value for one in found] == [0, 10, 30, 40, 50]
    (error,) = unreadable
    assert "2.png" in str(error)
    with pytest.raises(UnreadableImageError, match=r"2\.png"):
        list(model(paths, ahead=ahead))
    assert not threads()
