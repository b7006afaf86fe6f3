"""The service that docs/deployment.md shows: it answers, and refuses what is no image."""

import io
import json
import sys
import threading
from http.client import HTTPConnection
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from convnextv2 import runtime

PAGE = Path(__file__).resolve().parents[2] / "docs/deployment.md"
ABOUT = {
    "task": "detection",
    "kind": "objects",
    "classes": ["disc"],
    "palette": [[1, 2, 3]],
    "label_offset": 0,
    "windows": None,
    "mask_threshold": None,
    "image": {"channels": 3, "channel_order": "bgr", "steps": [], "smallest": 1},
}


class Graph:
    """A network that finds one object in every image."""

    about = ABOUT

    def __call__(self, images):
        found = {"images": [0], "bboxes": [[1, 2, 3, 4]], "scores": [0.5], "labels": [0]}
        return {name: np.array(values) for name, values in found.items()}


@pytest.fixture
def ask(monkeypatch):
    """Content -> status and answer of the page's service."""
    blocks = PAGE.read_text().split("```")
    (code,) = (block.removeprefix("python") for block in blocks if "serve_forever" in block)
    module = ModuleType("convnextv2_runtime")
    module.Predictor = lambda model: runtime.Predictor(Graph())
    monkeypatch.setitem(sys.modules, "convnextv2_runtime", module)
    names = {"__name__": "serve"}
    head, _, last = code.rstrip().rpartition("\n")
    assert last == "HTTPServer(('127.0.0.1', 8000), Handler).serve_forever()"
    exec(head, names)
    server = names["HTTPServer"](("127.0.0.1", 0), names["Handler"])
    monkeypatch.setattr(names["Handler"], "log_message", lambda *args: None)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def post(content, headers=()):
        connection = HTTPConnection(*server.server_address, timeout=10)
        connection.request("POST", "/", content, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    yield post
    server.shutdown()
    server.server_close()


def as_bytes(write, *args, **kwargs):
    file = io.BytesIO()
    write(file, *args, **kwargs)
    return file.getvalue()


def test_the_service_answers_and_reads_nothing_of_its_own_disk(ask, tmp_path):
    image = np.zeros((20, 30, 3), np.uint8)
    status, answer = ask(as_bytes(np.save, image))
    assert status == 200
    assert json.loads(answer) == [{"class": "disc", "score": 0.5, "box": [1, 2, 3, 4]}]

    secret = tmp_path / "secret.npy"
    np.save(secret, image)
    archive = as_bytes(np.savez, **{str(secret): image})  # whose names would be taken for paths
    text = as_bytes(np.save, np.array([str(secret)]))
    endless = io.BytesIO()  # says that it has 3 TB
    head = {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6, 3)}
    np.lib.format.write_array_header_1_0(endless, head)
    for content in (archive, text, endless.getvalue(), b"no array", str(secret).encode()):
        status, answer = ask(content)
        assert status == 400, content[:20]
        assert "Error response" in answer
    assert ask(b"", {"Content-Length": "no number"})[0] == 413
    assert ask(b"", {"Content-Length": str(10**9)})[0] == 413
    assert ask(as_bytes(np.save, image))[0] == 200
