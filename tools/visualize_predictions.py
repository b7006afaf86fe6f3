"""Draw the test images of a config: photograph, ground truth, prediction. Outlines, no labels."""

from pathlib import Path

from launch import check_files, load_config, make_parser, use_cpu_where_no_gpu
from pictures import write_grid

COLUMNS = ("photograph", "ground truth", "prediction")


def main() -> None:
    """Command line entry."""
    parser = make_parser(
        __doc__,
        "python tools/visualize_predictions.py CONFIG work_dirs/NAME/iter_300.pth --out trees.png",
    )
    parser.add_argument("checkpoint", help="path or address of the checkpoint")
    parser.add_argument("--out", default="predictions.png", help="picture to write")
    parser.add_argument("--max-images", type=int, default=4, help="draw no more than this")
    parser.add_argument("--score-thr", type=float, default=0.3, help="leave out what scores less")
    parser.add_argument("--scale", type=int, default=2, help="enlarge the images, for thin lines")
    args = parser.parse_args()
    cfg = load_config(args)
    if "visualizer" not in cfg or "test_dataloader" not in cfg:
        parser.error(f"{args.config} has no test images; see tools/visualize_reconstruction.py")
    cfg.load_from = args.checkpoint
    check_files(cfg, ("test_dataloader",))
    use_cpu_where_no_gpu(cfg)

    rows = predict(cfg, args.checkpoint, args.max_images, args.score_thr, args.scale)
    write_grid(rows, COLUMNS, args.out)
    print(f"{len(rows)} images: {Path(args.out).absolute()}")


def predict(cfg, checkpoint: str, max_images: int, score_thr: float, scale: int) -> list[list]:
    """Run the model on test images spread over the data set.

    Returns:
        For each image the pictures of `COLUMNS`, uint8 RGB.
    """
    import cv2
    import numpy as np
    import torch
    from mmengine.dataset import pseudo_collate
    from mmengine.device import get_device
    from mmengine.registry import DATASETS, MODELS, init_default_scope

    from convnextv2.backbone import read_checkpoint

    init_default_scope(cfg.default_scope)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model).to(get_device()).eval()
    model.load_state_dict(read_checkpoint(checkpoint))
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    palette = dataset.metainfo["palette"]
    rows = []
    for index in np.linspace(0, len(dataset) - 1, min(max_images, len(dataset))).round():
        sample = dataset[int(index)]
        with torch.inference_mode():
            (result,) = model.test_step(pseudo_collate([sample]))
        result = result.cpu()
        photograph = cv2.imread(result.img_path)[..., ::-1]
        photograph = np.ascontiguousarray(photograph.repeat(scale, axis=0).repeat(scale, axis=1))
        if "gt_sem_seg" in sample["data_samples"]:
            truth = sample["data_samples"].gt_sem_seg.data[0].numpy()
            found = result.pred_sem_seg.data[0].numpy()
            drawn = [paint(photograph, labels, palette, scale) for labels in (truth, found)]
        else:
            truth = sample["data_samples"].gt_instances
            found = result.pred_instances
            found = found[found.scores > score_thr]
            drawn = [outline(photograph, objects, palette, scale) for objects in (truth, found)]
        rows.append([photograph, *drawn])
    return rows


def outline(photograph, objects, palette, scale: int):
    """The photograph with the outlines of instances: of masks where there are any, or of boxes."""
    import cv2
    import numpy as np

    picture = photograph.copy()
    masks = objects.get("masks")
    for i, label in enumerate(objects.labels.tolist()):
        colour = tuple(palette[label])
        if masks is None:
            x1, y1, x2, y2 = (objects.bboxes[i].numpy().reshape(4) * scale).round().astype(int)
            cv2.rectangle(picture, (x1, y1), (x2, y2), colour, 1, cv2.LINE_AA)
            continue
        mask = np.asarray(getattr(masks, "masks", masks)[i], np.uint8)
        mask = mask.repeat(scale, axis=0).repeat(scale, axis=1)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, contours, -1, colour, 1, cv2.LINE_AA)
    return picture


def paint(photograph, labels, palette, scale: int):
    """The photograph under the colours of its label map; what is black there stays as it is."""
    import numpy as np

    colours = np.zeros((256, 3), np.uint8)  # 255, ignored, stays black: uncoloured
    colours[: len(palette)] = palette
    layer = colours[labels].repeat(scale, axis=0).repeat(scale, axis=1)
    mixed = (0.45 * photograph + 0.55 * layer).astype(np.uint8)
    return np.where(layer.any(axis=2, keepdims=True), mixed, photograph)


if __name__ == "__main__":
    main()
