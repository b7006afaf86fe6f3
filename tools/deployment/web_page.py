"""A page on which a model is tried: drop a picture, see what is found, take the results away.

Detectors, segmenters and classifiers, of a config or as a file of export_model.py, show their
layers, with sliders for the score and for tiles; a pre-trained FCMAE shows what it makes of an
image of which patches are hidden. The page is for this machine alone unless --host says otherwise;
what is uploaded is deleted after an hour. Needs gradio: pip install 'convnextv2-dense[page]'.
"""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convnextv2.engine.cli import make_config_parser, run, share, whole
from convnextv2.engine.errors import InputError

if TYPE_CHECKING:
    from mmengine.config import Config

MOST_BYTES = 64 * 2**20  # of a request
WAITING = 16  # requests at most; more are told to come back
EXAMPLES = 8


def main() -> None:
    """Command line entry."""
    parser = make_config_parser(
        __doc__, "python tools/deployment/web_page.py CONFIG work_dirs/NAME/epoch_36.pth"
    )
    parser.add_argument(
        "checkpoint", nargs="?", help="path or address of the checkpoint; none for an .onnx file"
    )
    parser.add_argument("--examples", nargs="+", default=[], help="images, or folders of images")
    parser.add_argument("--score-thr", type=share, default=0.3, help="where the slider begins")
    parser.add_argument("--device", help="such as cpu or cuda:1; default: the GPU, if there is one")
    parser.add_argument("--host", default="127.0.0.1", help="default: this machine alone")
    parser.add_argument("--port", type=whole(1), default=7860)
    args = parser.parse_args()

    if (args.checkpoint is None) != args.config.endswith(".onnx"):
        parser.error("needs CONFIG CHECKPOINT, or an exported .onnx file alone")

    from convnextv2.engine.config import read_config
    from convnextv2.engine.settings import need_entries

    with tempfile.TemporaryDirectory() as folder:
        # Read when gradio is imported, and asked for at each upload.
        os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False"}
        if args.checkpoint is None:
            page = make_exported_page(args.config, args.examples, args.score_thr)
        else:
            cfg = read_config(args.config, args.cfg_options)
            need_entries(cfg, args.config, "model")
            page = make_page(cfg, args.checkpoint, args.examples, args.score_thr, args.device)
        launch(page, args.host, args.port)


def make_page(
    cfg: "Config",
    checkpoint: str,
    examples: list[str],
    score_thr: float = 0.3,
    device: str | None = None,
) -> Any:
    """The page of a model, gradio's ``Blocks``.

    Raises:
        InputError: gradio is not installed, or the checkpoint does not fit.
    """
    layout = _import_layout()

    from convnextv2.engine.tasks import PredictingTask, find_task
    from convnextv2.engine.templates import fill_template
    from convnextv2.predictor import Predictor
    from convnextv2.tools.deployment.page.hiding import Hider
    from convnextv2.tools.deployment.page.models import TrainedModel

    title, shown = Path(cfg.filename).stem, _list_examples(examples)
    if isinstance(find_task(cfg), PredictingTask):
        model = TrainedModel(Predictor(cfg, checkpoint, device))
        return layout.make_model_page(model, title, score_thr, shown)
    fill_template(cfg)
    return layout.make_hiding_page(Hider(cfg, checkpoint), title, shown)


def make_exported_page(path: str, examples: list[str], score_thr: float = 0.3) -> Any:
    """The page of an exported file; see `make_page`."""
    layout = _import_layout()

    from convnextv2.tools.deployment.page.models import ExportedModel

    model = ExportedModel(path)
    return layout.make_model_page(model, Path(path).stem, score_thr, _list_examples(examples))


def _import_layout() -> Any:
    try:
        from convnextv2.tools.deployment.page import layout
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise InputError("the page needs gradio: pip install 'convnextv2-dense[page]'") from error
    return layout


def _list_examples(given: list[str]) -> list[str]:
    from convnextv2.pictures import expand_images

    return expand_images(given)[:EXAMPLES] if given else []


def launch(page: Any, host: str, port: int, wait: bool = True) -> str:
    """Serve a page, until it is interrupted or, without `wait`, in the background.

    Returns:
        Its address.
    """
    import gradio as gr
    from starlette.middleware import Middleware

    from convnextv2.tools.deployment.page.limits import Limits

    page.queue(max_size=WAITING, default_concurrency_limit=1, api_open=False)
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        share=False,
        show_error=False,  # but those that are meant for the visitor
        max_file_size=MOST_BYTES,
        enable_monitoring=False,
        ssr_mode=False,
        footer_links=[],
        prevent_thread_lock=not wait,
        # Fonts of the system: gradio's own come from another server.
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        app_kwargs={
            "middleware": [Middleware(Limits, most=MOST_BYTES)],
            "docs_url": None,
            "redoc_url": None,
            "openapi_url": None,
        },
    )
    return address


if __name__ == "__main__":
    run(main)
