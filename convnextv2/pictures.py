"""What the drawing tools share: images from paths, objects and labels drawn, rows of pictures.

Pictures are uint8 arrays (H, W, 3), RGB.
"""

import os
from collections.abc import Sequence
from pathlib import Path


def expand_images(paths: list[str]) -> list[str]:
    """Files as they are, and the images of folders, sorted.

    Dangling links, pipes and the like that are named by the user are left to the reader.

    Raises:
        SystemExit: A path does not exist, or there is no image at all.
    """
    from convnextv2.files import find_images, printable

    found = []
    for path in paths:
        if os.path.isdir(path):
            found += find_images(path)
        elif os.path.lexists(path):
            found.append(path)
        else:
            raise SystemExit(f"{printable(os.path.abspath(path))} does not exist")
    if not found:
        raise SystemExit(f"no images in {', '.join(map(printable, paths))}")
    return found


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


def write_png(picture, out: str | Path) -> None:
    """Write a label map (H, W) or a picture; the file appears when it is complete."""
    import cv2

    from convnextv2.files import AtomicLocalBackend

    pixels = picture if picture.ndim == 2 else picture[..., ::-1]
    AtomicLocalBackend().put(cv2.imencode(".png", pixels)[1].tobytes(), out)


def outline(photograph, objects, palette, scale: int = 1, names: Sequence[str] = ()):
    """The photograph with the outlines of instances: of masks where there are any, or of boxes.

    Args:
        photograph: Already enlarged by `scale`.
        objects: mmdet's instances, in pixels before the enlargement.
        palette: An RGB colour for each label.
        scale: Times that the photograph was enlarged.
        names: Written with the score above each object that is as wide as the words; without
            them nothing is.
    """
    import cv2
    import numpy as np

    picture = photograph.copy()
    masks = objects.get("masks")
    boxes = (objects.bboxes.numpy().reshape(-1, 4) * scale).round().astype(int)
    for i, label in enumerate(objects.labels.tolist()):
        colour = tuple(palette[label])
        x1, y1, x2, y2 = boxes[i].tolist()
        if masks is None:
            cv2.rectangle(picture, (x1, y1), (x2, y2), colour, 1, cv2.LINE_AA)
        else:
            mask = np.asarray(getattr(masks, "masks", masks)[i], np.uint8)
            mask = mask.repeat(scale, axis=0).repeat(scale, axis=1)
            contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(picture, contours, -1, colour, 1, cv2.LINE_AA)
        if names:
            text = f"{names[label]} {objects.scores[i]:.2f}"
            _write(picture, text, (x1, max(y1 - 3, 9)), colour, room=x2 - x1)
    return picture


def paint(photograph, labels, palette, scale: int = 1, names: Sequence[str] = ()):
    """The photograph under the colours of its label map; what is black there stays as it is.

    Args:
        photograph: Already enlarged by `scale`.
        labels: (H, W) before the enlargement; 255 is ignored.
        palette: An RGB colour for each label.
        scale: Times that the photograph was enlarged.
        names: Written where each label has the most room; without them nothing is.
    """
    import cv2
    import numpy as np

    colours = np.zeros((256, 3), np.uint8)  # 255, ignored, stays black: uncoloured
    colours[: len(palette)] = palette[:255]
    labels = labels.repeat(scale, axis=0).repeat(scale, axis=1)
    layer = colours[labels]
    mixed = (0.45 * photograph + 0.55 * layer).astype(np.uint8)
    picture = np.where(layer.any(axis=2, keepdims=True), mixed, photograph)
    for label in np.unique(labels).tolist() if names else ():
        room = cv2.distanceTransform(np.uint8(labels == label), cv2.DIST_L2, 3)
        _, most, _, place = cv2.minMaxLoc(room)
        if most > 8 and label < len(names):  # else the word would cover what it names
            _write(picture, names[label], place, (255, 255, 255))
    return picture


def _write(picture, text: str, place: tuple[int, int], colour, room: int | None = None) -> None:
    import cv2

    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.4
    if room is not None and cv2.getTextSize(text, font, size, 1)[0][0] > room:
        return
    for ink, width in (((0, 0, 0), 3), (colour, 1)):  # a dark rim, readable on anything
        cv2.putText(picture, text, place, font, size, ink, width, cv2.LINE_AA)
