"""Convert a ConvNeXt V2 weight file from any known layout into another.

The layout of the source is told by its keys: the authors' files (fine-tuned, FCMAE only, or of
their sparse pre-training), timm, transformers, mmpretrain, and this project's training
checkpoints. The network is found below any prefix (module., _orig_mod., student.backbone.) and in
any dict (state_dict, model_ema); of a detector or segmenter the backbone is taken. Where a file
has it more than once, --prefix chooses.
"""

from pathlib import Path

from convnextv2.engine.cli import make_parser, run
from convnextv2.engine.outputs import check_file


def main() -> None:
    """Command line entry."""
    parser = make_parser(
        __doc__,
        "python tools/model_converters/convert_checkpoint.py "
        "work_dirs/NAME/epoch_800.pth tiny.safetensors --to timm",
    )
    parser.add_argument("source", metavar="SRC", help="path or address of a weight file")
    parser.add_argument("target", metavar="DST", help="file to write: .pth, .pt or .safetensors")
    parser.add_argument(
        "--to",
        default="convnextv2",
        choices=["convnextv2", "official", "minkowski", "timm", "transformers", "mmpretrain"],
        help="layout to write; convnextv2, the default, is this project's",
    )
    parser.add_argument("--prefix", help="where in SRC the network lies, e.g. state_dict_ema")
    args = parser.parse_args()
    target = Path(args.target)
    if target.suffix not in (".pth", ".pt", ".safetensors"):
        parser.error(f"{target}: the name must end in .pth, .pt or .safetensors")
    if not target.parent.is_dir():
        parser.error(f"{target.parent.absolute()} does not exist")
    check_file(target, "DST")
    print(convert(args.source, target, args.to, args.prefix))


def convert(source: str, target: Path, layout: str, prefix: str | None = None) -> str:
    """Convert a file; returns a line about what became of its tensors.

    Raises:
        FileNotFoundError: No such file.
        ValueError: It is not a ConvNeXt V2 weight file, not a complete one, or has several to
            choose from by `prefix`.
    """
    from convnextv2.backbone.checkpoint_keys import convert_keys
    from convnextv2.backbone.find_weights import find_weights
    from convnextv2.backbone.write_weights import write_weights
    from convnextv2.engine.weights import read_content

    found = find_weights(read_content(source), prefix, source)
    if found.missing:
        some = ", ".join(found.missing[:8]) + (", ..." if found.missing[8:] else "")
        raise ValueError(
            f"{source} ({found.layout} below {found.prefix!r}) is not complete, so nothing was "
            f"written. {len(found.missing)} tensors are missing, by this project's names: {some}. "
            "If the network lies elsewhere in the file, say so with --prefix."
        )
    tensors, unknown, reshaped = convert_keys(found.tensors, found.layout, layout)
    write_weights(tensors, target, layout)
    parts = sorted({".".join(key.split(".")[:2]) for key in unknown})
    left_out = f" ({', '.join(parts)})" if parts else ""
    where = f" below {found.prefix!r}" if found.prefix else ""
    return (
        f"{source} ({found.layout}{where}) to {target} ({layout}): {len(tensors)} tensors, "
        f"{len(reshaped)} reshaped, {len(unknown)} without a place there left out{left_out}, "
        f"{found.others} of other parts left out"
    )


if __name__ == "__main__":
    run(main)
