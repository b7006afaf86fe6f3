"""Write a trained model as one file that runs without this project.

ONNX with standard operators only, for any batch and size of images: UperNet, Faster, Mask and
Cascade R-CNN, classifiers, and the encoder of FCMAE as a feature extractor. The file says of itself
how images are prepared, its classes and its thresholds; convnextv2_runtime, a folder that is
written beside it, runs it by numpy and onnxruntime alone. --to torch writes torch.export's program
instead.

The file gets its name only when its results on real images are those of torch: the first images of
the config's data, or those of --images.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.engine.cli import make_config_parser, run
from convnextv2.engine.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from mmengine.config import Config

    from convnextv2.exports import Difference, Exportable

SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
RUNTIME = "convnextv2_runtime"


def main() -> None:
    """Command line entry."""
    parser = make_config_parser(
        __doc__,
        "python tools/deployment/export_model.py CONFIG work_dirs/NAME/epoch_36.pth "
        "--to onnx --out model.onnx",
    )
    parser.add_argument("checkpoint", help="path or address of the checkpoint")
    parser.add_argument("--to", choices=list(SUFFIXES), default="onnx", help="default: onnx")
    parser.add_argument("--out", metavar="FILE", required=True, help="ends in .onnx or .pt2")
    parser.add_argument(
        "--images", nargs="+", help="to compare results on; default: the config's first three"
    )
    parser.add_argument(
        "--weights",
        choices=["float32", "float16"],
        default="float32",
        help="as which ONNX stores them; float16 takes half the bytes, and float32 is computed",
    )
    args = parser.parse_args()
    if args.to == "torch" and args.weights == "float16":
        parser.error("--weights float16 is for --to onnx")

    from convnextv2.engine.config import read_config
    from convnextv2.engine.outputs import check_file
    from convnextv2.engine.settings import need_entries
    from convnextv2.engine.tasks import find_task

    cfg = read_config(args.config, args.cfg_options)
    need_entries(cfg, args.config, "model")
    check_file(args.out, "--out", (SUFFIXES[args.to],))
    check_packages(args.to)
    task = find_task(cfg)
    if task is None:
        raise InputError(f"{args.config}: its model is of none of this project's tasks")
    exportable = task.make_exportable(cfg, args.checkpoint)
    images = read_images(exportable.about["image"], cfg, args.images)
    if exportable.about.get("nms", {}).get("in_place_of_soft_nms"):
        print("soft-NMS becomes a hard one at an overlap of .5, which lowers the AP a little")
    out = Path(args.out)
    for what, found, allowed in export(exportable, out, args.to, images, args.weights):
        print(f"{what}: at most {found:.2g} from torch's, and {allowed:.2g} is allowed")
    size = out.stat().st_size / 1e6
    print(f"{out}: {size:.1f} MB, compared with torch on {len(images)} images")


def check_packages(kind: str) -> None:
    """Stop if what writes and runs ONNX is not there.

    Raises:
        InputError: It says what to install.
    """
    needed = ("onnx", "onnxscript", "onnxruntime") if kind == "onnx" else ()
    if missing := [name for name in needed if find_spec(name) is None]:
        raise InputError(
            f"{', '.join(missing)} not installed: pip install 'convnextv2-dense[export]'"
        )


def read_images(about: dict, cfg: "Config", paths: list[str] | None) -> "list[np.ndarray]":
    """Images as the config loads them: those of paths, or the first of the config's data.

    Raises:
        InputError: There are none.
    """
    from convnextv2.exports import find_images
    from convnextv2.images import LoadImage

    paths = paths or find_images(cfg)
    if not paths:
        raise InputError("the config's data are not here: give images to compare with --images")
    load = LoadImage(about["channels"], about["channel_order"], about["dtype"])
    return [load({"img_path": path})["img"] for path in paths]


def export(
    exportable: "Exportable",
    out: Path,
    kind: str,
    images: "list[np.ndarray]",
    weights: str = "float32",
) -> "list[Difference]":
    """Write the file and, beside it, what runs it; returns how far it is from torch.

    Raises:
        InputError: It cannot be exported, or is too far from torch: then nothing is written.
    """
    import logging

    from convnextv2 import runtime
    from convnextv2.exports import verify, write
    from convnextv2.files import AtomicLocalBackend, written_whole

    # It would name each operation of torchvision, which is not there.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with written_whole(out) as partial:
        write(exportable, partial, kind, weights)
        differences = verify(exportable, partial, kind, images)
    if kind == "onnx":
        for file in Path(runtime.__file__).parent.glob("*.py"):
            AtomicLocalBackend().put(file.read_bytes(), out.with_name(RUNTIME) / file.name)
    return differences


if __name__ == "__main__":
    run(main)
