"""Annotations of other programs into what the templates take: COCO's json, or label masks.

Writes train.json and val.json, or masks/train and masks/val, with links to the images in
images/train and images/val, and says what was left out and why.
"""

from convnextv2.engine.cli import run
from convnextv2.engine.errors import InputError
from convnextv2.engine.outputs import check_folder
from convnextv2.tools.dataset_converters.formats.arguments import make_arguments


def main() -> None:
    """Command line entry."""
    args = make_arguments(__doc__).parse_args()
    for path in (args.source, args.images):
        if path is not None and not path.exists():
            raise InputError(f"{path.absolute()} does not exist")
    check_folder(args.out, "--out")

    if args.format in ("rgb-masks", "palette-masks"):
        from convnextv2.tools.dataset_converters.formats import to_masks

        to_masks.convert(args)
    elif getattr(args, "masks", False):
        from convnextv2.tools.dataset_converters.formats import outlines

        outlines.convert(args)
    else:
        from convnextv2.tools.dataset_converters.formats import to_coco

        to_coco.convert(args)


if __name__ == "__main__":
    run(main)
