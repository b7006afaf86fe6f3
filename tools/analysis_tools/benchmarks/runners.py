"""What `benchmark.py exported` compares: a predictor of each, in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from .measuring import process_peak_mb

if TYPE_CHECKING:
    import numpy as np


def answer(name: str, args: dict[str, Any], threads: int, link: Connection) -> None:
    """Build a predictor, say that it is ready, and predict for as many images as is asked.

    Says (seconds, processor's seconds, MB at most so far), or a sentence about what went wrong.

    Args:
        name: Of `RUNNERS`.
        args: Of the command.
        threads: At most so many compute.
        link: To the process that asks.
    """
    try:
        predict, image = RUNNERS[name](args, threads)
        list(predict([image]))  # what is compiled, is compiled
        link.send((0.0, 0.0, 0.0))
        while True:
            images = [image] * link.recv()
            start, used = time.perf_counter(), time.process_time()
            list(predict(images, batch_size=len(images)))
            seconds, used = time.perf_counter() - start, time.process_time() - used
            link.send((seconds, used, process_peak_mb()))
    except EOFError:
        pass
    except Exception as error:
        link.send(f"{type(error).__name__}: {str(error)[:300]}")


def run_torch(args: dict[str, Any], threads: int) -> tuple[Callable, np.ndarray]:
    """The project's own predictor."""
    import torch

    from convnextv2.engine.config import read_config
    from convnextv2.predictor import Predictor

    torch.set_num_threads(threads)
    cfg = read_config(args["config"], args["cfg_options"])
    predictor = Predictor(cfg, args["checkpoint"], "cpu")
    return predictor, predictor.load({"img_path": args["image"], "img_id": 0})["img"]


def run_compiled(args: dict[str, Any], threads: int) -> tuple[Callable, np.ndarray]:
    """The same, with a backbone that torch has compiled: heads are lists, which it cannot."""
    predictor, image = run_torch(args, threads)
    predictor.model.backbone.compile()  # type: ignore[attr-defined]
    return predictor, image


def run_onnxruntime(args: dict[str, Any], threads: int) -> tuple[Callable, np.ndarray]:
    """The exported file."""
    from convnextv2 import runtime

    return _with_image(runtime.Predictor(args["model"], threads), args["image"])


def run_openvino(args: dict[str, Any], threads: int) -> tuple[Callable, np.ndarray]:
    """The same file in OpenVINO."""
    from convnextv2 import runtime

    graph = runtime.OpenVinoGraph(args["model"], threads)
    return _with_image(runtime.Predictor(graph), args["image"])


def _with_image(predictor: Any, path: str) -> tuple[Callable, np.ndarray]:
    from convnextv2.runtime.images import read_image

    about = predictor.about["image"]
    return predictor, read_image(path, about["channels"], about["channel_order"] == "rgb")


RUNNERS: dict[str, Callable] = {
    "torch": run_torch,
    "torch.compile": run_compiled,
    "onnxruntime": run_onnxruntime,
    "openvino": run_openvino,
}
