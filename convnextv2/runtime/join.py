"""Objects found in overlapping tiles, put together to those of the image.

Where two tiles see the same strip, they see the same part of an object in it. Two pieces are the
same object if they agree there: an object that an edge cuts becomes one again however little of it
is in the strip, and of two neighbours that touch each keeps its own pieces, since their masks do
not overlap. What a piece is outside of the strip does not matter for that.

1. Pieces of one class of two tiles are linked by the IoU of what is in their strip, the best first.
   No object takes two pieces of one tile: what a tile saw as two stays two.
2. Of an object that some tile saw whole, that tile's box and mask are taken; of another the pieces
   are united. Its score is that of its best piece.
3. Slivers at an edge are removed, which are part of an object that another tile saw better.

Nothing else is left to remove: objects that share no tile meet in strips alone, and where their
pieces agree less than `SAME` in each strip, so do the objects as a whole.

Every choice is made by what was found, never by the order in which it came.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .box_masks import BoxMask, unite
from .tiles import Tile, TileGrid, intersect

Box = tuple[float, float, float, float]

WHOLE_IMAGE = -1  # the number of the tile that is the whole image, reduced
SAME = 0.5  # IoU in the strip from which two pieces are one object
SLIVER = 0.7  # share of a cut piece inside another object from which it is part of that


class Piece(NamedTuple):
    """An object, or what a tile holds of it."""

    tile: int
    """The tile's number in its `TileGrid`."""
    box: Box
    """x0, y0, x1, y1, edges continuous, in pixels of the image."""
    score: float
    label: int
    mask: BoxMask | None = None
    """None: the model finds boxes alone."""


class FoundObject(NamedTuple):
    """An object of the whole image; fields as of `Piece`."""

    box: Box
    score: float
    label: int
    mask: BoxMask | None
    tiles: frozenset[int]
    """Those that saw it."""
    whole_in: int | None
    """The one whose box and mask these are; None if each of them cut it."""


class _Link(NamedTuple):
    one: int
    other: int
    agreement: float


def join_pieces(grid: TileGrid, pieces: Iterable[Piece]) -> list[FoundObject]:
    """The objects of an image, best score first.

    Args:
        grid: The image's tiles.
        pieces: In any order. Those of `WHOLE_IMAGE` count for objects that no tile holds.
    """
    known = sorted(pieces)
    links = list(_link(grid, known))
    groups = _group(known, links)
    objects = [_fuse(grid, [known[i] for i in group]) for group in groups]
    places = {piece: place for place, group in enumerate(groups) for piece in group}
    touching = {
        (min(pair), max(pair))
        for link in links
        if (pair := (places[link.one], places[link.other]))[0] != pair[1]
    }
    kept = _drop_slivers(objects, touching)
    return sorted(kept, key=lambda found: (-found.score, found.box, found.label))


def _link(grid: TileGrid, pieces: Sequence[Piece]) -> Iterator[_Link]:
    """Pairs of pieces that meet in the strip that their tiles share."""
    of_tile = defaultdict(list)
    for number, piece in enumerate(pieces):
        of_tile[piece.tile].append(number)
    for one, other, strip in _list_strips(grid, WHOLE_IMAGE in of_tile):
        if one in of_tile and other in of_tile:
            yield from _link_tiles(pieces, of_tile[one], of_tile[other], strip)


def _list_strips(grid: TileGrid, whole_image: bool) -> Iterator[tuple[int, int, Tile]]:
    yield from grid.list_strips()
    if whole_image:
        yield from ((WHOLE_IMAGE, number, tile) for number, tile in enumerate(grid.tiles))


def _link_tiles(
    pieces: Sequence[Piece], ones: list[int], others: list[int], strip: Tile
) -> Iterator[_Link]:
    a, b = (_clip([_extent(pieces[i]) for i in some], strip) for some in (ones, others))
    labels = [np.array([pieces[i].label for i in some]) for some in (ones, others)]
    meet = (_measure_common(a, b) > 0) & (labels[0][:, None] == labels[1][None])
    seen: dict[int, np.ndarray] = {}
    for i, j in np.argwhere(meet).tolist():
        one, other = pieces[ones[i]], pieces[others[j]]
        if one.mask is None or other.mask is None:
            agreement = _compute_iou(a[i], b[j])
        else:
            for number, piece in ((ones[i], one), (others[j], other)):
                if number not in seen and piece.mask:
                    seen[number] = piece.mask.decode(strip)
            first, second = seen[ones[i]], seen[others[j]]
            either = int(np.count_nonzero(first | second))
            agreement = int(np.count_nonzero(first & second)) / max(either, 1)
        yield _Link(ones[i], others[j], float(agreement))


def _group(pieces: Sequence[Piece], links: list[_Link]) -> list[list[int]]:
    """Numbers of the pieces of each object: links joined, best first, if no tile comes twice."""
    groups = {number: [number] for number in range(len(pieces))}
    home = list(range(len(pieces)))

    def rank(link: _Link) -> tuple:
        weaker = min(pieces[link.one].score, pieces[link.other].score)
        return -link.agreement, -weaker, link.one, link.other

    for link in sorted((link for link in links if link.agreement >= SAME), key=rank):
        one, other = home[link.one], home[link.other]
        tiles = [{pieces[i].tile for i in groups[home]} for home in (one, other)]
        if one == other or tiles[0] & tiles[1]:
            continue
        for number in groups[other]:
            home[number] = one
        groups[one] += groups.pop(other)
    return list(groups.values())


def _fuse(grid: TileGrid, group: list[Piece]) -> FoundObject:
    group = sorted(group)
    whole = [piece for piece in group if _is_whole(grid, piece)]
    if whole:
        best = max(whole, key=lambda piece: (piece.tile != WHOLE_IMAGE, piece.score, piece))
        box, mask, whole_in = best.box, best.mask, best.tile
    else:
        whole_in = None
        corners = np.array([piece.box for piece in group])
        box = (*corners[:, :2].min(0).tolist(), *corners[:, 2:].max(0).tolist())
        masks = [piece.mask for piece in group if piece.mask is not None]
        mask = masks[0] if len(masks) == 1 else unite(masks) if masks else None
    tiles = frozenset(piece.tile for piece in group)
    score = max(piece.score for piece in group)
    return FoundObject(box, score, group[0].label, mask, tiles, whole_in)


def _is_whole(grid: TileGrid, piece: Piece) -> bool:
    """Whether a piece ends before the edges of its tile that lie inside the image.

    Networks end an object that is cut a little before the edge, too.
    """
    if piece.tile == WHOLE_IMAGE:
        return True
    tile = grid.tiles[piece.tile]
    x0, y0, x1, y1 = _extent(piece)
    margins = (2 + 0.05 * (x1 - x0), 2 + 0.05 * (y1 - y0)) * 2
    gaps = (x0 - tile[0], y0 - tile[1], tile[2] - x1, tile[3] - y1)
    cut = grid.list_cut_sides(tile)
    return not any(c and gap < m for c, gap, m in zip(cut, gaps, margins, strict=True))


def _drop_slivers(
    objects: list[FoundObject], touching: set[tuple[int, int]]
) -> Iterator[FoundObject]:
    """What is left without objects that are parts of others once more."""
    dropped = {
        part
        for pair in touching
        for part, whole in (pair, pair[::-1])
        if _is_sliver(objects[part], objects[whole])
    }
    return (found for place, found in enumerate(objects) if place not in dropped)


def _is_sliver(part: FoundObject, whole: FoundObject) -> bool:
    """Whether an object that each tile cut is part of one that some tile saw whole.

    What a tile saw as two stays two, but of what no tile holds, tiles may see several parts.
    """
    if part.whole_in is not None or whole.whole_in is None:
        return False
    if part.tiles & whole.tiles and whole.whole_in != WHOLE_IMAGE:
        return False
    both, area = _measure(part, whole)
    return both >= SLIVER * max(area, 1e-9)


def _measure(part: FoundObject, whole: FoundObject) -> tuple[float, float]:
    """Areas of what two objects have in common, and of the first."""
    if part.mask is None or whole.mask is None:
        a, b = np.array([part.box]), np.array([whole.box])
        return float(_measure_common(a, b)[0, 0]), _measure_box(a[0])
    window = intersect(part.mask.box, whole.mask.box)
    if window is None:
        return 0, part.mask.area
    both = float(np.count_nonzero(part.mask.decode(window) & whole.mask.decode(window)))
    return both, part.mask.area


def _extent(piece: Piece) -> Box:
    """Where a piece is: the rectangle of its mask, if it has one."""
    return piece.box if piece.mask is None else piece.mask.box


def _clip(boxes: Sequence[Box], window: Tile) -> np.ndarray:
    """The boxes (n, 4) inside of a rectangle; what is outside has no area there."""
    x0, y0, x1, y1 = window
    return np.clip(np.array(boxes, float).reshape(-1, 4), [x0, y0, x0, y0], [x1, y1, x1, y1])


def _measure_common(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Areas (n, m) of what boxes (n, 4) and (m, 4) have in common."""
    corners = np.minimum(a[:, None, 2:], b[None, :, 2:]), np.maximum(a[:, None, :2], b[None, :, :2])
    return (corners[0] - corners[1]).clip(0).prod(-1)


def _measure_box(box: np.ndarray) -> float:
    return float((box[2:] - box[:2]).clip(0).prod())


def _compute_iou(one: np.ndarray, other: np.ndarray) -> float:
    both = float(_measure_common(one[None], other[None])[0, 0])
    return both / (_measure_box(one) + _measure_box(other) - both)
