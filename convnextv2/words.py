"""Words in pictures, in any script that a font of this machine has.

Pillow writes them; OpenCV has the letters of ASCII alone. Fonts are those of the system and
matplotlib's DejaVu. An emoji that none of them has is spelled by its name in Unicode, as fonts of
coloured ones cannot be used. A class whose letters none has is called by its number, and a legend
says which it is.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from PIL.ImageFont import FreeTypeFont

    Colour = tuple[int, int, int]
    Runs = list[tuple[str, str]]  # parts of a text, and the path of a font for each

SIZE = 12  # pixels of a letter with all that hangs from it
LEGEND = "classes.txt"
_RIM = 1
_DARK = 160  # the brightest channel of a colour that a black rim would hide
_SLANTED_OR_FAT = ("black", "bold", "condensed", "italic", "light", "mono", "oblique", "thin")


def write_words(
    picture: np.ndarray,
    text: str,
    place: tuple[int, int],
    colour: Colour,
    room: int | None = None,
) -> None:
    """Write into a picture, with a rim that can be read on anything; what lies outside is cut off.

    Args:
        picture: (H, W, 3), uint8. It is changed.
        text: In any script, from right to left where it is written so. Letters that no font has
            become question marks; `label_words` avoids them.
        place: x and y of the lower left corner, on the line that letters stand on.
        colour: RGB.
        room: Pixels; what is wider is not written.
    """
    words = _render(_spell(text)) or _render(text.encode("ascii", "replace").decode())
    if words is None or (room is not None and words.ink.shape[1] - 2 * _RIM > room):
        return
    rim = (0, 0, 0) if max(colour) >= _DARK else (255, 255, 255)
    x, y = place[0] - _RIM, place[1] - words.baseline
    top, left = max(-y, 0), max(-x, 0)
    region = picture[max(y, 0) : y + words.ink.shape[0], max(x, 0) : x + words.ink.shape[1]]
    if y + words.ink.shape[0] <= 0 or x + words.ink.shape[1] <= 0 or not region.size:
        return
    for shade, paint in ((words.rim, rim), (words.ink, colour)):
        share = shade[top:, left:][: region.shape[0], : region.shape[1], None] / 255
        region[:] = (region * (1 - share) + share * paint).round()


@lru_cache(maxsize=64)
def label_words(names: tuple[str, ...]) -> list[str]:
    """What to write for each class: its name, or its number if no font here has the name.

    Names without letters of a font are told in the log, once.
    """
    words = [name if can_write(name) else str(i) for i, name in enumerate(names)]
    if legend := _legend(names):
        from mmengine.logging import print_log

        print_log(
            "No font here can write these class names, so pictures have their numbers: "
            f"{', '.join(legend)}. A font of this script in ~/.fonts mends it.",
            logger="current",
        )
    return words


def write_legend(names: Sequence[str], folder: str | Path) -> None:
    """Write ``classes.txt``, which says number = name, where pictures have numbers for names."""
    from convnextv2.files import AtomicLocalBackend

    if legend := _legend(tuple(names)):
        text = "".join(f"{line}\n" for line in legend)
        AtomicLocalBackend().put(text.encode("utf-8", "replace"), Path(folder, LEGEND))


def can_write(text: str) -> bool:
    """Whether fonts of this machine have all letters of a text."""
    return _find_runs(_spell(text)) is not None


def plot_words(names: Sequence[str]) -> list[str]:
    """What matplotlib can write for each class, in the ``fontfamily`` of `plot_families`.

    As `label_words`; old releases of matplotlib write nothing from right to left.
    """
    from matplotlib import ft2font

    shapes = hasattr(ft2font, "__libraqm_version__")
    words = label_words(tuple(names))
    # A dollar would begin a formula.
    plain = [_spell(word).replace("$", r"\$") for word in words]
    return [w if shapes or not _is_leftward(w) else str(i) for i, w in enumerate(plain)]


def plot_families(texts: Iterable[str]) -> list[str]:
    """The font families that have the letters of some texts, made known to matplotlib."""
    from matplotlib import font_manager

    runs = [run for text in texts for run in _find_runs(_spell(text)) or ()]
    families = []
    for path in dict.fromkeys([_list_fonts()[0], *(path for _, path in runs)]):
        font_manager.fontManager.addfont(path)
        families.append(font_manager.FontProperties(fname=path).get_name())
    return list(dict.fromkeys(families))


class _Words(NamedTuple):
    """A text drawn, both (h, w), uint8: how much of each pixel is covered."""

    ink: np.ndarray
    rim: np.ndarray
    baseline: int


@lru_cache(maxsize=1024)
def _render(text: str) -> _Words | None:
    import numpy as np
    from PIL import Image, ImageDraw

    runs = _find_runs(text) or []
    fonts = [font for _, path in runs if (font := _load(path))]
    if not fonts:
        return None
    ends = [0.0]
    for (part, _), font in zip(runs, fonts, strict=True):
        ends.append(ends[-1] + font.getlength(part))
    up, down = (max(font.getmetrics()[i] for font in fonts) + _RIM for i in (0, 1))
    drawn = []
    for stroke in (0, _RIM):
        image = Image.new("L", (round(ends[-1]) + 2 * _RIM + 1, up + down))
        pen = ImageDraw.Draw(image)
        for (part, _), font, x in zip(runs, fonts, ends, strict=False):
            pen.text((x + _RIM, up), part, 255, font, anchor="ls", stroke_width=stroke)
        drawn.append(np.array(image))
    return _Words(drawn[0], drawn[1], up)


def _in_one_line(text: str) -> str:
    """Without control characters, and without the marks that choose coloured emoji."""
    spaced = "".join(" " if unicodedata.category(c) == "Cc" else c for c in text)
    return " ".join(spaced.replace("\ufe0f", "").replace("\ufe0e", "").split())


@lru_cache(maxsize=1024)
def _spell(text: str) -> str:
    """In one line, with the names of emoji that no font here has: car 🚗 is car automobile."""
    letters = list(_in_one_line(text))
    for i, letter in enumerate(letters):
        symbol = unicodedata.category(letter) == "So"
        if symbol and (name := unicodedata.name(letter, "")) and not _find_font(letter):
            letters[i] = f" {name.lower()} "
    return _in_one_line("".join(letters))


def _legend(names: tuple[str, ...]) -> list[str]:
    return [f"{i} = {_in_one_line(n)}" for i, n in enumerate(names) if not can_write(n)]


@lru_cache(maxsize=1024)
def _find_runs(text: str) -> Runs | None:
    """A font for all of a text, or one for each part of it; None: there is none."""
    from PIL import features

    leftward = _is_leftward(text)
    if leftward and not (features.check("raqm") and features.check("fribidi")):
        return None  # the letters would stand alone, in the wrong order
    if font := _find_font(text):
        return [(text, font)]
    runs: Runs = []
    for letter in () if leftward else text:
        if not (font := runs[-1][1] if runs and _has(runs[-1][1], letter) else _find_font(letter)):
            return None
        if runs and runs[-1][1] == font:
            runs[-1] = (runs[-1][0] + letter, font)
        else:
            runs.append((letter, font))
    return runs or None


def _find_font(text: str) -> str | None:
    fonts = (path for path in _list_fonts() if all(_has(path, letter) for letter in text))
    return next((path for path in fonts if _load(path) is not None), None)


def _has(path: str, letter: str) -> bool:
    # Joiners and direction marks leave no ink.
    return ord(letter) in _letters(path) or unicodedata.category(letter) == "Cf"


def _is_leftward(text: str) -> bool:
    return any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in text)


@cache
def _list_fonts() -> list[str]:
    """Paths, matplotlib's own first, then plain faces before bold and slanted ones."""
    import matplotlib
    from matplotlib import font_manager

    own = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")

    def preference(path: str) -> tuple[bool, bool, str]:
        name = Path(path).stem.lower()
        return any(word in name for word in _SLANTED_OR_FAT), "regular" not in name, name

    # Asked of the system: matplotlib's own list is as old as its first use.
    return [str(own), *sorted(font_manager.findSystemFonts(), key=preference)]


@cache
def _letters(path: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except (RuntimeError, OSError, ValueError):  # a font of a form that is not known
        return frozenset()


@cache
def _load(path: str) -> FreeTypeFont | None:
    from PIL import ImageFont

    try:
        return ImageFont.truetype(path, SIZE)
    except OSError:  # of coloured pictures in one size
        return None
