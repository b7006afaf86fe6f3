"""The page: what it shows of a model, what it takes from a client, and nothing else.

Tests of the running page need gradio (pip install '.[page]'); the others do not.
"""

import asyncio
import json
import os
import pickle
import sys
import time
import urllib.error
import urllib.request
import zlib

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from processes import config, free_port

from convnextv2.images import UnreadableImageError
from convnextv2.predictor import Predictor
from convnextv2.tools.deployment.page import views
from convnextv2.tools.deployment.page.folders import make_folder
from convnextv2.tools.deployment.page.limits import Limits
from convnextv2.tools.deployment.page.models import TrainedModel
from convnextv2.tools.deployment.page.views import look


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    image = np.random.default_rng(0).integers(0, 80, (96, 128, 3), dtype=np.uint8)
    for x in range(20, 128, 35):
        cv2.circle(image, (x, 20 + x // 2), 14, (250, 60, 60), -1)
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    cv2.imwrite(str(path), image)
    return path


@pytest.fixture
def predictor(request, untrained):
    name = request.param
    return Predictor(config(name), untrained(name, classes=["box", "disc"]), "cpu")


@pytest.mark.parametrize("predictor", ["mask-rcnn"], indirect=True)
def test_objects_are_those_of_the_predictor_and_the_score_chooses(predictor, photo, tmp_path):
    view = look(TrainedModel(predictor), str(photo))
    (found,) = predictor(str(photo))
    expected = found.sample.pred_instances
    scores = sorted(expected.scores.tolist(), reverse=True)
    assert [one.score for one in view.objects] == pytest.approx(scores)
    middle = scores[len(scores) // 2]
    chosen = sum(score >= middle for score in scores)
    assert len(view.list_rows(middle)) == chosen < len(view.list_rows(0)) == len(scores)
    paths = view.write(tmp_path, middle)
    results, polygons = (json.loads(path.read_text()) for path in paths)
    assert [one["score"] for one in results] == pytest.approx(scores[:chosen])
    assert len(polygons["features"]) == chosen


@pytest.mark.parametrize("predictor", ["mask-rcnn"], indirect=True)
def test_layers_are_switched(predictor, photo):
    view = look(TrainedModel(predictor), str(photo))
    view.objects = [one for one in view.objects if one.mask.area][:1]
    plain = view.draw(0, [])
    assert plain.shape == (384, 512, 3)  # enlarged, so that words can be read
    drawn = {layer: view.draw(0, [layer]) for layer in view.layers}
    assert all((picture != plain).any() for picture in drawn.values())
    x0, y0, x1, y1 = (round(side * 4) for side in view.objects[0].box)
    outside = np.ones(plain.shape[:2], bool)
    outside[max(y0 - 1, 0) : y1 + 2, max(x0 - 1, 0) : x1 + 2] = False
    assert not (drawn["boxes"] != plain)[outside].any()
    assert np.array_equal(view.draw(1.1, view.layers), plain)


@pytest.mark.parametrize("predictor", ["upernet"], indirect=True)
def test_labels_are_those_of_the_predictor(predictor, photo, tmp_path):
    view = look(TrainedModel(predictor), str(photo))
    (found,) = predictor(str(photo))
    expected = found.sample.pred_sem_seg.data[0].numpy()
    assert np.array_equal(view.labels, expected)
    (path,) = view.write(tmp_path, 0)
    assert np.array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), expected)
    shares = dict(view.list_rows(0))
    assert shares.get("disc", "0.00%") == f"{(expected == 1).mean():.2%}"
    assert (view.draw(0, ["labels"]) != view.draw(0, [])).any()


@pytest.mark.parametrize("predictor", ["mask-rcnn", "upernet"], indirect=True)
def test_tiles_are_those_of_the_command(predictor, photo):
    view, whole = (
        look(TrainedModel(predictor), str(photo), 64),
        look(TrainedModel(predictor), str(photo)),
    )
    if isinstance(view, views.LabelsView):
        assert view.labels.shape == whole.labels.shape == (96, 128)
    else:
        assert {tile for one in view.objects for tile in one.tiles} > {0}
        assert {tile for one in whole.objects for tile in one.tiles} == {0}


@pytest.mark.parametrize("order", ["bgr", "rgb"])
@pytest.mark.parametrize("predictor", ["upernet"], indirect=True)
def test_colours_stay_what_they_are(predictor, order, tmp_path):
    predictor.load.channel_order = order
    cv2.imwrite(str(tmp_path / "red.png"), np.full((64, 64, 3), (0, 0, 255), np.uint8))
    view = look(TrainedModel(predictor), str(tmp_path / "red.png"))
    assert (view.photograph.picture == (255, 0, 0)).all()


@pytest.mark.parametrize("predictor", ["upernet"], indirect=True)
def test_too_many_pixels_are_refused(predictor, photo, monkeypatch):
    monkeypatch.setattr(views, "MOST_PIXELS", 96 * 128 - 1)
    with pytest.raises(UnreadableImageError, match="128 x 96 pixels; this page takes up to"):
        look(TrainedModel(predictor), str(photo))


def test_hidden_patches_are_not_seen(untrained, photo):
    from convnextv2.tools.deployment.page.hiding import Hider

    hider = Hider(Config.fromfile(config("fcmae-by-iter")), untrained("fcmae-by-iter"))
    image = hider.open(str(photo), 448)
    assert image.shape == (96, 128, 3)
    assert max(hider.open(str(photo), 64).shape) == 64
    mask = hider.draw_mask(image, 0.5, 0)
    assert mask.shape == (3, 4)
    assert mask.sum() == 6
    first = hider.reconstruct(image, mask)
    hidden = ~mask.repeat(32, 0).repeat(32, 1)
    changed = np.where(hidden[..., None], 255 - image, image)
    again = hider.reconstruct(changed, mask)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[0][~hidden], image[~hidden])
    with pytest.raises(ValueError, match="leave some visible"):
        hider.reconstruct(image, np.zeros_like(mask))


def test_results_do_not_stay(tmp_path):
    old, new = (make_folder(tmp_path / "results", 3600) for _ in range(2))
    os.utime(old, (0, 0))
    last = make_folder(tmp_path / "results", 3600)
    assert set((tmp_path / "results").iterdir()) == {new, last}


def answer(body, most=1000, length=None, kind=b"application/json"):
    """Status of an application that answers 200, for a body in parts."""
    sent = []
    parts = [body[i : i + 100] for i in range(0, max(len(body), 1), 100)]

    async def app(scope, receive, send):
        got = b""
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return
            got += message["body"]
            if not message["more_body"]:
                break
        assert got == body
        await send({"type": "http.response.start", "status": 200})

    async def receive():
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message):
        sent.append(message)

    length = str(len(body)).encode() if length is None else length
    headers = [(b"content-type", kind), (b"content-length", length)]
    asyncio.run(Limits(app, most)({"type": "http", "headers": headers}, receive, send))
    return sent[0]["status"] if sent else None


def test_requests_are_limited():
    assert answer(b"x" * 950, kind=b"multipart/form-data") == 200
    assert answer(b"x" * 1050, kind=b"multipart/form-data") == 413
    assert answer(b"x" * 1050, length=b"5", kind=b"multipart/form-data") is None  # cut off
    assert answer(b"x", length=b"-5", kind=b"multipart/form-data") == 413


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ({"data": [{"path": "/tmp/a.png", "url": "http://127.0.0.1:7860/file=a.png"}]}, 200),
        ({"data": ["a path: http://example.org", 3, None]}, 200),
        ({"data": [{"path": "http://example.org/a.png"}]}, 400),
        ({"data": [[{"a": {"path": "file:///etc/passwd"}}]]}, 400),
        ({"data": [{"path": "a", "url": "data:image/png;base64,AAAA"}]}, 400),
    ],
)
def test_addresses_are_refused(message, status):
    assert answer(json.dumps(message).encode()) == status


@pytest.mark.parametrize("kind", [b"application/JSON", b"text/plain", b""])
def test_a_message_is_looked_at_whatever_it_calls_itself(kind):
    message = {"data": [{"path": "http://example.org/a.png"}]}
    assert answer(json.dumps(message).encode(), kind=kind) == 400


def test_a_message_that_is_none_is_refused():
    assert answer(b'{"data": ') == 400
    assert answer(b"[" * 900) == 400


@pytest.fixture(scope="module")
def page(tmp_path_factory, untrained):
    """The address of a running page of a Mask R-CNN."""
    pytest.importorskip("gradio")
    from convnextv2.tools.deployment.web_page import launch, make_page

    checkpoint = untrained("mask-rcnn", classes=["box", "disc"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        page = make_page(Config.fromfile(config("mask-rcnn")), checkpoint, [], 0.05, "cpu")
        yield launch(page, "127.0.0.1", free_port(), wait=False)
        page.close()


def request(address, content=None, kind="application/json"):
    """Status and text of an answer."""
    data = json.dumps(content).encode() if isinstance(content, dict) else content
    asked = urllib.request.Request(address, data, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(asked, timeout=60) as found:
            return found.status, found.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


def upload(page, name, content):
    """The server's path of an uploaded file."""
    head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    body = head.encode() + content + b"\r\n--x--\r\n"
    address = f"{page}gradio_api/upload"
    status, text = request(address, body, "multipart/form-data; boundary=x")
    assert status == 200, text
    return json.loads(text)[0]


def run(page, path, tile=0):
    """The events of a file that was given to the page: its own, then those it set off."""
    config = json.loads(request(f"{page}config")[1])
    (files,) = (
        one["id"] for one in config["components"] if one["props"].get("elem_id") == "upload"
    )
    gives = next(one["id"] for one in config["dependencies"] if one["inputs"] == [files])
    (finds, *_) = (one for one in config["dependencies"] if len(one["inputs"]) == 2)
    shows = next(one for one in config["dependencies"] if len(one["outputs"]) == 4)
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    texts = []
    for number, data in (
        (gives, [file]),
        (finds["id"], [None, tile]),
        (shows["id"], [None, 0.05, []]),
    ):
        message = {"data": data, "fn_index": number, "session_hash": "test"}
        status, text = request(f"{page}gradio_api/queue/join?", message)
        if status != 200:
            return status, text
        address = f"{page}gradio_api/queue/data?session_hash=test"
        texts.append(read_events(address))
    return status, "".join(texts)


def read_events(address):
    text, start = "", time.monotonic()
    with urllib.request.urlopen(address, timeout=60) as stream:
        while "close_stream" not in text and time.monotonic() - start < 60:
            text += stream.readline().decode()
    return text


def test_an_uploaded_photo_is_looked_at(page, photo):
    status, text = run(page, upload(page, "photo.png", photo.read_bytes()))
    assert status == 200
    assert "results.json" in text
    assert '"success":false' not in text.replace(" ", "")


def make_bomb():
    """A PNG of 50,000 x 50,000 pixels in a few hundred bytes."""

    def chunk(kind, content):
        check = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + check

    size = (50000).to_bytes(4, "big")
    head = chunk(b"IHDR", size * 2 + b"\x08\x02\0\0\0")
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1000))


class Evil:
    def __reduce__(self):
        return (os.system, ("touch /tmp/convnextv2-page-was-broken-into",))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bomb.png", make_bomb()),
        ("page.png", b"<html><script>alert(1)</script></html>"),
        ("drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
        ("archive.png", b"PK\x03\x04" + b"\0" * 50),
        ("evil.npy", pickle.dumps(Evil())),
        ("empty.png", b""),
        ("../../../etc/passwd.png", b"no image"),
    ],
)
def test_what_is_no_image_is_refused_with_a_sentence(page, name, content):
    status, text = run(page, upload(page, name, content))
    assert status == 200
    assert "Traceback" not in text
    assert '"success":false' in text.replace(" ", "")
    assert not os.path.exists("/tmp/convnextv2-page-was-broken-into")


@pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", __file__])
def test_no_file_of_the_server_is_read(page, path):
    status, text = run(page, path)
    assert status != 200 or '"success":false' in text.replace(" ", "")
    assert "root:" not in text
    status, text = request(f"{page}gradio_api/file={path}")
    assert status in (403, 404)
    assert "root:" not in text


def test_tiles_have_the_sliders_steps(page, photo, monkeypatch):
    """Tiles of 8 pixels, which no slider gives, would be hundreds."""
    asked = []
    layout = sys.modules["convnextv2.tools.deployment.page.layout"]
    note = lambda model, path, tile: asked.append(tile) or look(model, path, tile)  # noqa: E731
    monkeypatch.setattr(layout, "look", note)
    run(page, upload(page, "photo.png", photo.read_bytes()), tile=8)
    run(page, upload(page, "again.png", photo.read_bytes()), tile=300)
    assert asked == [0, 256]


def test_errors_name_no_folder(page):
    _, text = run(page, upload(page, "half.png", b"\x89PNG"))
    assert '"half.png: truncated, or no image"' in text


def test_no_address_is_fetched(page):
    status, text = run(page, "http://127.0.0.1:1/a.png")
    assert status == 400
    assert "addresses are not fetched" in text
