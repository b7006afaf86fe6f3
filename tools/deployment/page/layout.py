"""How the page looks, on gradio.

A visitor's files are not opened by gradio: they go to the project's own reader, which takes images
alone. Addresses are refused, see `limits`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from convnextv2.engine.errors import InputError
from convnextv2.images import UnreadableImageError
from convnextv2.pictures import write_png

from .folders import make_folder
from .hiding import Hider
from .views import VIEWS, View, look

if TYPE_CHECKING:
    from .models import PageModel

KEPT = 3600  # seconds that files and results are kept
TILES = (128, 2048)  # sides to choose from
LONGEST = 448  # pixels of a side of what FCMAE sees
HEIGHT = 420  # of a picture


def make_model_page(
    model: PageModel, title: str, score_thr: float, examples: list[str]
) -> gr.Blocks:
    """A page on which a detector, segmenter or classifier is tried.

    Args:
        model: The model.
        title: Of the page.
        score_thr: Where the slider of scores begins.
        examples: Paths of images to choose from.
    """
    kind = VIEWS[model.kind]
    has_scores, has_tiles = "score" in kind.columns, bool(kind.layers)
    layers = [name for name in kind.layers if name != "masks" or model.has_masks]

    def find(path: str | None, tile_size: int) -> View | None:
        with sentences():
            return look(model, path, int(tile_size) // TILES[0] * TILES[0]) if path else None

    def show(view: View | None, thr: float, chosen: list[str]) -> tuple:
        if view is None:
            return None, [], None, gr.update(visible=True)
        picture = view.draw(thr, chosen)
        folder = make_folder(Path(gr_folder(), "results"), KEPT)
        write_png(picture, folder / "picture.png")
        files = [folder / "picture.png", *view.write(folder, thr)]
        return picture, view.list_rows(thr), [str(f) for f in files], gr.update(visible=False)

    with _page(title) as page:
        view = gr.State(None, time_to_live=KEPT)
        with gr.Row():
            with gr.Column():
                path = _add_sources(examples)
            with gr.Column():
                out = _make_picture("found", "found")
                hint = gr.Markdown("Drop a picture, choose an example, or take one.")
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
            with gr.Column():
                table = gr.Dataframe(
                    headers=list(kind.columns),
                    label="in rows",
                    interactive=False,
                    max_height=HEIGHT,
                )
            with gr.Column():
                files = gr.File(label="to take away", interactive=False, file_count="multiple")
        looks, shown = [view, thr, chosen], [out, table, files, hint]
        for event in (path.change, tile.change):
            found = event(find, [path, tile], view, concurrency_limit=1, trigger_mode="always_last")
            found.then(show, looks, shown)
        gr.on([thr.change, chosen.change], show, looks, shown, trigger_mode="always_last")
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
                path = _add_sources(examples)
            with gr.Column():
                visible = _make_picture("visible: click to hide or show a patch", "visible")
                ratio = gr.Slider(0.05, 0.95, hider.mask_ratio, step=0.05, label="hidden")
                again = gr.Button("Draw other patches")
                share = gr.Markdown()
        with gr.Row():
            made = _make_picture("reconstruction", "made")
            both = _make_picture("with what is visible", "both")
        shown = [visible, made, both, share]
        for event in (path.change, ratio.change, again.click):
            drawn = event(
                start,
                [path, ratio],
                [image, mask],
                concurrency_limit=1,
                trigger_mode="always_last",
            )
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
    return re.sub(rf"{re.escape(gr_folder())}/([0-9a-f]{{64}}/)?", "", text).split("\n")[0]


def _page(title: str) -> gr.Blocks:
    page = gr.Blocks(title=title, analytics_enabled=False, delete_cache=(KEPT // 4, KEPT))
    with page:
        gr.Markdown(f"# {title}")
    return page


def _add_sources(examples: list[str]) -> gr.State:
    """Where pictures come from; returns the path of the one chosen last."""
    path = gr.State(None, time_to_live=KEPT)
    upload = gr.File(label="drop a picture", height=140, elem_id="upload")
    upload.change(lambda file: file, upload, path)
    if examples:
        shown = gr.Gallery(
            examples,
            label="examples",
            columns=4,
            height=200,
            allow_preview=False,
            interactive=False,
            buttons=[],
            elem_id="examples",
        )

        def choose(event: gr.SelectData) -> str:
            return examples[event.index]

        shown.select(choose, None, path)
    with gr.Accordion("camera", open=False):
        camera = gr.Image(sources=["webcam"], type="filepath", image_mode=None, show_label=False)
        camera.change(lambda file: file, camera, path)
    return path


def _make_picture(label: str, elem_id: str) -> gr.Image:
    """A picture that the model has made."""
    return gr.Image(
        label=label,
        elem_id=elem_id,
        interactive=False,
        height=HEIGHT,
        format="png",
        buttons=["download", "fullscreen"],  # not the one that shares by another server
    )
