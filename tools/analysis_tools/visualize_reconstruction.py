"""Draw what a pre-trained FCMAE makes of images: original, visible, reconstructed, pasted."""

from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.band_pictures import show_bands
from convnextv2.engine.cli import add_show_bands, make_runner_parser, run, whole
from convnextv2.engine.config import load_config
from convnextv2.engine.outputs import check_file
from convnextv2.engine.settings import need_entries
from convnextv2.pictures import expand_images, write_grid

if TYPE_CHECKING:
    import numpy as np
    from mmengine.config import Config


def main() -> None:
    """Command line entry."""
    parser = make_runner_parser(
        __doc__,
        "python tools/analysis_tools/visualize_reconstruction.py CONFIG "
        "work_dirs/NAME/iter_500.pth photos/ --out reconstruction.png",
    )
    parser.add_argument("checkpoint", help="path or address of the pre-training checkpoint")
    parser.add_argument("images", nargs="+", help="images, or folders of images")
    parser.add_argument("--out", default="reconstruction.png", help="picture to write")
    parser.add_argument("--seed", type=whole(0), default=0, help="of crops and masks")
    parser.add_argument("--max-images", type=whole(1), default=8, help="draw no more than this")
    add_show_bands(parser)
    args = parser.parse_args()
    cfg = load_config(args)
    need_entries(cfg, args.config, "model", "train_dataloader")
    check_file(args.out, "--out", (".png", ".jpg", ".jpeg"))
    paths = expand_images(args.images)[: args.max_images]

    rows = reconstruct_files(cfg, args.checkpoint, paths, args.seed)

    from convnextv2.pretrain.reconstruction import PICTURES

    write_grid([show_bands(row, args.show_bands) for row in rows], PICTURES, args.out)
    print(f"{len(rows)} reconstructions: {Path(args.out).absolute()}")


def reconstruct_files(
    cfg: "Config", checkpoint: str, paths: list[str], seed: int
) -> list[list["np.ndarray"]]:
    """Run the model on each image, cropped as in training.

    Returns:
        For each image the four `PICTURES`, float arrays (H, W, C) in the units of the file.
    """
    import torch
    from mmengine.dataset import Compose
    from mmengine.device import get_device
    from mmengine.registry import MODELS, TRANSFORMS

    from convnextv2.engine.seeding import mix, seed_cpu
    from convnextv2.engine.weights import fill_model, read_checkpoint
    from convnextv2.images import UnreadableImageError
    from convnextv2.pretrain.reconstruction import reconstruct

    model = MODELS.build(cfg.model).to(get_device()).eval()
    fill_model(model, read_checkpoint(checkpoint), checkpoint, cfg.filename)
    transforms = [TRANSFORMS.build(t) for t in cfg.train_dataloader.dataset.pipeline]
    pipeline = Compose(transforms)
    rows = []
    for i, path in enumerate(paths):
        try:
            seed_cpu(mix(seed, i))
            sample = pipeline({"img_path": path})
        except UnreadableImageError as error:
            raise SystemExit(f"cannot read {error}") from error
        inputs = sample["inputs"][None]
        mask = model.draw_mask(inputs, torch.tensor([sample["seed"]]))
        rows += reconstruct(model, inputs, mask)
    return rows


if __name__ == "__main__":
    run(main)
