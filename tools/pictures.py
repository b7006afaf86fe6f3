"""What the drawing tools share: images from paths, and pictures in rows and columns."""

from collections.abc import Sequence
from pathlib import Path


def expand_images(paths: list[str]) -> list[str]:
    """Files as they are, and the images of folders, sorted.

    Raises:
        SystemExit: A path does not exist, or there is no image at all.
    """
    from convnextv2.pretrain.dataset import IMAGE_SUFFIXES

    found = []
    for path in map(Path, paths):
        if path.is_dir():
            found += sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        elif path.is_file():
            found.append(path)
        else:
            raise SystemExit(f"{path.absolute()} does not exist")
    if not found:
        raise SystemExit(f"no images in {', '.join(paths)}")
    return [str(path) for path in found]


def write_grid(rows: list[list], titles: Sequence[str], out: str, gap: int = 6) -> None:
    """Write rows of pictures as one PNG, a title above each column.

    Args:
        rows: Arrays (H, W, C), each as large as any other of its column and row or smaller. Three
            channels are RGB; of any other number the first is shown as grey. Values are
            stretched by the range of the row's first picture if it exceeds 8 bits.
        titles: One for each column.
        out: Path of the PNG; folders are made.
        gap: Pixels between pictures.

    Raises:
        SystemExit: The file cannot be written.
    """
    import cv2
    import numpy as np

    heights = [max(picture.shape[0] for picture in row) + gap for row in rows]
    widths = [max(row[i].shape[1] for row in rows) + gap for i in range(len(titles))]
    top = 22
    canvas = np.full((top + sum(heights), sum(widths) - gap, 3), 255, np.uint8)
    for column, title in enumerate(titles):
        place = (sum(widths[:column]) + 2, top - 7)
        cv2.putText(canvas, title, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    for i, row in enumerate(rows):
        highest = row[0].max()
        factor = 255 / highest if highest > 255 else 1.0
        for column, picture in enumerate(row):
            picture = picture if picture.shape[2] == 3 else picture[..., :1].repeat(3, axis=2)
            y, x = top + sum(heights[:i]), sum(widths[:column])
            pixels = np.clip(picture * factor, 0, 255).round().astype(np.uint8)
            canvas[y : y + picture.shape[0], x : x + picture.shape[1]] = pixels[..., ::-1]
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(out), canvas):
        raise SystemExit(f"cannot write {out}")
