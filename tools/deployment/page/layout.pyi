"""How the page looks, on gradio.

Nothing that a visitor sends is opened by gradio: files go to the project's own reader, which takes
images alone, and addresses are refused.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from convnextv2.engine.errors import InputError
from convnextv2.images import UnreadableImageError
from convnextv2.pictures import write_png

from .hiding import Hider
from .views import VIEWS, View, look

if TYPE_CHECKING:
    from convnextv2.predictor import Predictor

KEPT = 3600  # seconds that files and results are kept
TILES = (128, 2048)  # sides to choose from
LONGEST = 448  # pixels of a side of what FCMAE sees
HEIGHT = 420  # of a picture

from gradio.events import Dependency

class UploadedImage(gr.Image):
    """A picture that a visitor gives as a file or by camera; its value is the file's path."""

    is_template = True

    def preprocess(self, payload: Any) -> str | None:
        """The path of the uploaded file, which nobody has opened yet.

        Raises:
            Error: It is an address, or data in the message itself.
        """
        if payload is None:
            return None
        if (payload.url or "").startswith("data:") or not payload.path:
            raise gr.Error("Upload a file")
        return payload.path

    async def async_move_resource_to_block_cache(
        self, url_or_file_path: str | Path | None
    ) -> str | None:
        """As gradio does it, but nothing is fetched.

        Raises:
            Error: It is an address.
        """
        if url_or_file_path and "://" in str(url_or_file_path):
            raise gr.Error("Addresses are not fetched: upload a file")
        return await super().async_move_resource_to_block_cache(url_or_file_path)
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


def make_predictor_page(
    predictor: Predictor, title: str, score_thr: float, examples: list[str]
) -> gr.Blocks:
    """A page on which a detector, segmenter or classifier is tried.

    Args:
        predictor: The model.
        title: Of the page.
        score_thr: Where the slider of scores begins.
        examples: Paths of images to choose from.
    """
    kind = VIEWS[predictor.task.name]
    has_scores, has_tiles = "score" in kind.columns, bool(kind.layers)
    layers = [name for name in kind.layers if name != "masks" or predictor.model.with_mask]

    def find(path: str | None, tile_size: int) -> View | None:
        with sentences():
            return look(predictor, path, int(tile_size)) if path else None

    def show(view: View | None, thr: float, chosen: list[str]) -> tuple:
        if view is None:
            return None, [], None, gr.update(visible=True)
        picture = view.draw(thr, chosen)
        folder = Path(tempfile.mkdtemp(dir=gr_folder()))
        write_png(picture, folder / "picture.png")
        files = [folder / "picture.png", *view.write(folder, thr)]
        return picture, view.list_rows(thr), [str(f) for f in files], gr.update(visible=False)

    with _page(title) as page:
        view = gr.State(None, time_to_live=KEPT)
        with gr.Row():
            with gr.Column():
                upload = _make_upload()
                _add_examples(examples, upload)
            with gr.Column():
                out = gr.Image(
                    label="found", interactive=False, height=HEIGHT, elem_id="found", format="png"
                )
                hint = gr.Markdown("Drop a picture, take one, or choose an example.")
                thr = gr.Slider(
                    0.05, 0.95, score_thr, step=0.05, label="score from", visible=has_scores
                )
                chosen = gr.CheckboxGroup(layers, value=layers, label="show", visible=bool(layers))
                tile = gr.Slider(
                    0,
                    TILES[1],
                    0,
                    step=TILES[0],
                    label="tiles, pixels on a side",
                    info="0: the image as a whole",
                    visible=has_tiles,
                )
        with gr.Row():
            table = gr.Dataframe(headers=list(kind.columns), label="in rows", interactive=False)
            files = gr.File(label="to take away", interactive=False, file_count="multiple")
        looks, shown = [view, thr, chosen], [out, table, files, hint]
        for event in (upload.change, tile.release):
            event(find, [upload, tile], view, concurrency_limit=1).then(show, looks, shown)
        gr.on([thr.release, chosen.change], show, looks, shown)
    return page


def make_hiding_page(hider: Hider, title: str, examples: list[str]) -> gr.Blocks:
    """A page on which patches are hidden from an FCMAE.

    Args:
        hider: The model.
        title: Of the page.
        examples: Paths of images to choose from.
    """

    def start(path: str | None, ratio: float) -> tuple:
        with sentences():
            image = hider.open(path, LONGEST) if path else None
        mask = None if image is None else hider.draw_mask(image, ratio, random.randrange(2**31))
        return image, mask

    def toggle(image: Any, mask: Any, event: gr.SelectData) -> np.ndarray:
        column, row = (int(place) // hider.patch_size for place in event.index)
        changed = mask.copy()
        if row < mask.shape[0] and column < mask.shape[1]:
            changed[row, column] ^= True
        return changed

    def show(image: Any, mask: Any) -> tuple:
        if image is None:
            return None, None, None, ""
        with sentences():
            pictures = hider.reconstruct(image, mask)
        return *pictures, f"{(~mask).mean():.0%} of {mask.size} patches are hidden"

    with _page(title) as page:
        image, mask = gr.State(None, time_to_live=KEPT), gr.State(None, time_to_live=KEPT)
        with gr.Row():
            with gr.Column():
                upload = _make_upload()
                _add_examples(examples, upload)
            with gr.Column():
                settings = {"interactive": False, "height": HEIGHT, "format": "png"}
                visible = gr.Image(
                    label="visible: click to hide or show a patch", elem_id="visible", **settings
                )
                ratio = gr.Slider(0.05, 0.95, hider.mask_ratio, step=0.05, label="hidden")
                again = gr.Button("Draw other patches")
                share = gr.Markdown()
        with gr.Row():
            made = gr.Image(label="reconstruction", elem_id="made", **settings)
            both = gr.Image(label="with what is visible", **settings)
        shown = [visible, made, both, share]
        for event in (upload.change, ratio.release, again.click):
            drawn = event(start, [upload, ratio], [image, mask], concurrency_limit=1)
            drawn.then(show, [image, mask], shown, concurrency_limit=1)
        clicked = visible.select(toggle, [image, mask], mask)
        clicked.then(show, [image, mask], shown, concurrency_limit=1)
    return page


@contextmanager
def sentences() -> Iterator[None]:
    """A context in which what is wrong with an image is said to the visitor, and nothing else."""
    try:
        yield
    except (UnreadableImageError, InputError, ValueError) as error:
        raise gr.Error(_without_folders(str(error)), print_exception=False) from error
    except MemoryError as error:
        raise gr.Error("the image needs more memory than there is") from error


def gr_folder() -> str:
    """Where gradio keeps what is uploaded and made."""
    from gradio.utils import get_upload_folder

    folder = get_upload_folder()
    Path(folder).mkdir(parents=True, exist_ok=True)
    return folder


def _without_folders(text: str) -> str:
    return text.replace(f"{gr_folder()}/", "").split("\n")[0]


def _page(title: str) -> gr.Blocks:
    page = gr.Blocks(title=title, analytics_enabled=False, delete_cache=(KEPT // 4, KEPT))
    with page:
        gr.Markdown(f"# {title}")
    return page


def _make_upload() -> UploadedImage:
    return UploadedImage(
        label="picture", sources=["upload", "webcam"], height=HEIGHT, elem_id="upload"
    )


def _add_examples(examples: list[str], upload: UploadedImage) -> None:
    if examples:
        gr.Examples([[path] for path in examples], [upload], label="examples")