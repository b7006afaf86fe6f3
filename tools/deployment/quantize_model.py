"""Write an exported ONNX model that computes in 8 bits: a quarter of the size, and faster.

The ranges of its values come of the images of a folder, which should be like those that it will
see; what both models find in them is compared at the end. AP and mIoU of test data suffer a
little, so measure them: see docs/deployment.md.
"""

from pathlib import Path
from typing import Any

from convnextv2.engine.cli import make_parser, run, whole
from convnextv2.engine.errors import InputError


def main() -> None:
    """Command line entry."""
    parser = make_parser(
        __doc__,
        "python tools/deployment/quantize_model.py model.onnx data/train/images "
        "--out model-int8.onnx",
    )
    parser.add_argument("model", help="an ONNX file of tools/deployment/export_model.py")
    parser.add_argument("images", help="folder of images")
    parser.add_argument("--out", metavar="FILE", required=True, help="ends in .onnx")
    parser.add_argument(
        "--number", type=whole(1), default=16, help="of images at most; default: %(default)s"
    )
    args = parser.parse_args()

    from convnextv2.engine.outputs import check_file
    from convnextv2.files import find_images, written_whole

    check_file(args.out, "--out", (".onnx",))
    if not Path(args.model).is_file():
        raise InputError(f"no model at {args.model}")
    if not Path(args.images).is_dir():
        raise InputError(f"no folder at {args.images}")
    paths = find_images(args.images)[: args.number]
    if not paths:
        raise InputError(f"no images in {args.images}")
    try:
        from convnextv2.quantization import quantize

        with written_whole(args.out) as partial:
            found = list(quantize(args.model, partial, paths))
    except ImportError as error:
        raise InputError(f"{error.name} is missing: pip install '.[export]'") from error
    except ValueError as error:
        raise InputError(str(error)) from error
    sizes = [Path(path).stat().st_size / 1e6 for path in (args.model, args.out)]
    print(f"{args.out}: {sizes[1]:.1f} MB, of {sizes[0]:.1f}; {compare(found)}")


def compare(found: list[tuple[Any, Any]]) -> str:
    """How far the results of pairs of samples are from each other, in words."""
    import numpy as np

    first, _ = found[0]
    if hasattr(first, "pred_sem_seg"):
        other = [(a.pred_sem_seg.data != b.pred_sem_seg.data).mean() for a, b in found]
        return f"other labels for {100 * np.mean(other):.2f} % of the pixels"
    if hasattr(first, "pred_instances"):
        numbers = np.sum([[len(s.pred_instances) for s in pair] for pair in found], 0)
        return f"{numbers[1]} objects, where there were {numbers[0]}"
    name = "pred_scores" if hasattr(first, "pred_scores") else "pooled"
    apart = [np.abs(getattr(a, name) - getattr(b, name)).max() for a, b in found]
    return f"{name} at most {np.max(apart):.2g} from before"


if __name__ == "__main__":
    run(main)
