"""Draw what a pre-trained FCMAE makes of images: original, visible, reconstructed, pasted."""

from pathlib import Path

from launch import load_config, make_parser
from pictures import expand_images, write_grid

COLUMNS = ("original", "visible", "reconstructed", "with visible pixels")


def main() -> None:
    """Command line entry."""
    parser = make_parser(
        __doc__,
        "python tools/visualize_reconstruction.py CONFIG work_dirs/NAME/iter_500.pth photos/ "
        "--out reconstruction.png",
    )
    parser.add_argument("checkpoint", help="path or address of the pre-training checkpoint")
    parser.add_argument("images", nargs="+", help="images, or folders of images")
    parser.add_argument("--out", default="reconstruction.png", help="picture to write")
    parser.add_argument("--seed", type=int, default=0, help="of crops and masks")
    parser.add_argument("--max-images", type=int, default=8, help="draw no more than this")
    args = parser.parse_args()
    paths = expand_images(args.images)[: args.max_images]
    cfg = load_config(args)

    rows = reconstruct(cfg, args.checkpoint, paths, args.seed)
    write_grid(rows, COLUMNS, args.out)
    print(f"{len(rows)} reconstructions: {Path(args.out).absolute()}")


def reconstruct(cfg, checkpoint: str, paths: list[str], seed: int) -> list[list]:
    """Run the model on each image, cropped as in training.

    Returns:
        For each image the pictures of `COLUMNS`, float arrays (H, W, C) in the units of the file.
    """
    import torch
    from mmengine.dataset import Compose
    from mmengine.device import get_device
    from mmengine.registry import MODELS, TRANSFORMS

    from convnextv2.backbone import read_checkpoint
    from convnextv2.backbone.resume import SeededIndex
    from convnextv2.pretrain import UnreadableImageError

    model = MODELS.build(cfg.model).to(get_device()).eval()
    model.load_state_dict(read_checkpoint(checkpoint))
    transforms = [TRANSFORMS.build(t) for t in cfg.train_dataloader.dataset.pipeline]
    pipeline = Compose(transforms)
    rows = []
    for i, path in enumerate(paths):
        try:
            sample = pipeline({"img_path": path, "sample_idx": SeededIndex(i, seed, i)})
        except UnreadableImageError as error:
            raise SystemExit(f"cannot read {error}") from error
        original = sample["inputs"].float()
        seeds = torch.tensor([sample["seed"]])
        with torch.inference_mode():
            data = model.data_preprocessor({"inputs": [sample["inputs"]]})
            (result,) = model(data["inputs"], seed=seeds, mode="predict")
        reconstruction = result["reconstruction"].cpu()
        cells = result["mask"].repeat_interleave(model.patch_size, 0)
        visible = cells.repeat_interleave(model.patch_size, 1).cpu()
        grey = model.data_preprocessor.mean.cpu().expand_as(original)
        pictures = (
            original,
            torch.where(visible, original, grey),
            reconstruction,
            torch.where(visible, original, reconstruction),
        )
        rows.append([picture.permute(1, 2, 0).numpy() for picture in pictures])
    return rows


if __name__ == "__main__":
    main()
