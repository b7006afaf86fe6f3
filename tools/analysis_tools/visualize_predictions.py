"""Draw the test images of a config: photograph, ground truth, prediction. Outlines, no labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.engine.cli import add_show_bands, make_runner_parser, run, share, whole
from convnextv2.engine.config import load_config
from convnextv2.engine.inputs import check_inputs
from convnextv2.engine.outputs import check_file
from convnextv2.engine.processes import do_without_gpu
from convnextv2.pictures import to_rgb, write_grid
from convnextv2.predictor import Predictor

if TYPE_CHECKING:
    import numpy as np
    from mmengine.config import Config

PICTURES = (".png", ".jpg", ".jpeg")
COLUMNS = ("photograph", "ground truth", "prediction")


def main() -> None:
    """Command line entry."""
    parser = make_runner_parser(
        __doc__,
        "python tools/analysis_tools/visualize_predictions.py CONFIG work_dirs/NAME/iter_300.pth "
        "--out trees.png",
    )
    parser.add_argument("checkpoint", help="path or address of the checkpoint")
    parser.add_argument("--out", default="predictions.png", help="picture to write")
    parser.add_argument("--max-images", type=whole(1), default=4, help="draw no more than this")
    parser.add_argument("--score-thr", type=share, default=0.3, help="leave out what scores less")
    parser.add_argument(
        "--scale", type=whole(1), default=2, help="enlarge the images, for thin lines"
    )
    add_show_bands(parser)
    args = parser.parse_args()
    cfg = load_config(args)
    if "visualizer" not in cfg or "test_dataloader" not in cfg:
        parser.error(
            f"{args.config} has no test images; see "
            "tools/analysis_tools/visualize_reconstruction.py"
        )
    cfg.load_from = args.checkpoint
    check_inputs(cfg, ("test_dataloader",))
    check_file(args.out, "--out", PICTURES)
    do_without_gpu(cfg)

    rows = predict(
        cfg, args.checkpoint, args.max_images, args.score_thr, args.scale, args.show_bands
    )
    write_grid(rows, COLUMNS, args.out)
    print(f"{len(rows)} images: {Path(args.out).absolute()}")


def predict(
    cfg: "Config",
    checkpoint: str,
    max_images: int,
    score_thr: float,
    scale: int,
    bands: Sequence[int] | None = None,
) -> list[list["np.ndarray"]]:
    """Run the model on test images spread over the data set.

    Returns:
        For each image the pictures of `COLUMNS`, uint8 RGB.
    """
    import numpy as np
    from mmengine.registry import DATASETS

    predictor = Predictor(cfg, checkpoint)
    task, palette = predictor.task, predictor.palette
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    rows = []
    for index in np.linspace(0, len(dataset) - 1, min(max_images, len(dataset))).round():
        truth = dataset[int(index)]["data_samples"]
        (found,) = predictor(truth.img_path)
        photograph = to_rgb(found.image, scale, bands)
        truth = task.draw_truth(photograph, truth, palette, scale)
        drawn = task.draw_found(photograph, found.sample, palette, scale, score_thr=score_thr)
        rows.append([photograph, truth, drawn])
    return rows


if __name__ == "__main__":
    run(main)
