"""Words in pictures are those that were given, in any script, or numbers with a legend."""

import logging
import shutil
import warnings

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.figure import Figure
from PIL import features

from convnextv2 import words
from convnextv2.words import label_words, plot_families, plot_words, write_legend, write_words

CACHED = (words.label_words, words._render, words._find_runs, words._list_fonts, words._spell)


@pytest.fixture
def fonts(monkeypatch, tmp_path):
    """No font but matplotlib's DejaVu, and those that are put into the folder it returns."""
    monkeypatch.setattr(
        font_manager, "findSystemFonts", lambda: sorted(map(str, tmp_path.glob("*.ttf")))
    )
    for function in CACHED:
        function.cache_clear()
    yield tmp_path
    for function in CACHED:
        function.cache_clear()


def make_font(path, letters):
    """Write a font in which each letter is a square."""
    pen = TTGlyphPen(None)
    for i, corner in enumerate([(0, 0), (0, 700), (700, 700), (700, 0)]):
        pen.lineTo(corner) if i else pen.moveTo(corner)
    pen.closePath()
    glyphs = dict.fromkeys((".notdef", "square"), pen.glyph())
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(list(glyphs))
    font.setupCharacterMap({ord(letter): "square" for letter in letters})
    font.setupGlyf(glyphs)
    font.setupHorizontalMetrics(dict.fromkeys(glyphs, (800, 0)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": path.stem, "styleName": "Regular"})
    font.setupOS2(sTypoAscender=800, sTypoDescender=-200)
    font.setupPost()
    font.save(path)


def draw(text, place=(5, 20), shape=(30, 200, 3), **kwargs):
    picture = np.full(shape, 90, np.uint8)
    write_words(picture, text, place, (255, 0, 0), **kwargs)
    return picture


def inked(picture):
    """Where the ink is, and not the rim or what was there."""
    return (picture[..., 0] > 150) & (picture[..., 1] < 60)


def width(text):
    return np.flatnonzero((draw(text) != 90).any((0, 2))).max()


def test_letters_of_other_scripts_are_written(fonts):
    """Each word as itself, in its colour with a dark rim."""
    pictures = {word: draw(word) for word in ("круг", "крюк", "κύκλος", "çember", "????")}
    assert len({picture.tobytes() for picture in pictures.values()}) == 5
    for picture in pictures.values():
        assert inked(picture).any()
        assert (picture.max(2) < 30).any()


def test_dark_letters_have_a_light_rim(fonts):
    """Or they would not be read."""
    picture = np.full((30, 200, 3), 90, np.uint8)
    write_words(picture, "круг", (5, 20), (120, 20, 30))
    assert (picture.min(2) > 220).any()


@pytest.mark.skipif(not features.check("raqm"), reason="Pillow without Raqm")
def test_arabic_is_joined_and_runs_to_the_left(fonts):
    """The word differs from its letters side by side, and begins at the right."""
    joined = inked(draw("قطة"))
    assert (joined != inked(draw("ق\u200cط\u200cة"))).any()
    # What comes first is at the right: a dot-less alef, a thin stroke, then a broad sheen.
    columns = np.flatnonzero(inked(draw("اس")).any(0))
    height = inked(draw("اس")).sum(0)
    assert height[columns[-3:]].max() > height[columns[:-3]].max()


def test_arabic_without_shaping_is_a_number(fonts, monkeypatch):
    """Letters that stand alone in the wrong order are no word."""
    monkeypatch.setattr(features, "check", lambda feature: False)
    assert label_words(("قطة", "cat")) == ["0", "cat"]


def test_the_font_that_has_the_letters_is_taken(fonts):
    """Also for a part of a text only."""
    assert label_words(("方块",)) == ["0"]
    make_font(fonts / "Squares.ttf", "方块")
    for function in CACHED:
        function.cache_clear()
    assert label_words(("方块", "方 cat", "块é\n狗")) == ["方块", "方 cat", "2"]
    assert width("方块 cat") > width("方块") > width("方")


def test_a_name_that_no_font_has_is_a_number_with_a_legend(fonts, caplog, tmp_path):
    """Said once in the log, and in a file beside the pictures."""
    names = ("方块", "кружок", "cat")
    with caplog.at_level(logging.INFO):
        assert label_words(names) == label_words(names) == ["0", "кружок", "cat"]
    write_legend(names, tmp_path)
    assert (tmp_path / "classes.txt").read_text("utf-8") == "0 = 方块\n"
    write_legend(("cat",), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_fonts_of_no_use_are_passed_over(fonts):
    """Of a form that is not known, or damaged."""
    (fonts / "broken.ttf").write_bytes(b"no font")
    shutil.copy(words.__file__, fonts / "text.ttf")
    assert label_words(("方块", "круг")) == ["0", "круг"]


@pytest.mark.parametrize("place", [(-30, 5), (5, 0), (190, 29), (500, 10), (10, 500), (-500, -500)])
def test_words_are_cut_at_the_edges(fonts, place):
    """Wherever they are put; what is inside is as it would be."""
    large = draw("крыло", (place[0] + 600, place[1] + 600), (1230, 1400, 3))
    assert (draw("крыло", place) == large[600:630, 600:800]).all()


def test_words_without_room_are_not_written(fonts):
    """And others are."""
    assert (draw("крыло", room=10) == 90).all()
    assert (draw("крыло", room=100) != 90).any()


def test_matplotlib_writes_the_same_names(fonts):
    """With fonts that have all letters, and no formulas."""
    make_font(fonts / "Squares.ttf", "方块")
    names = ["方块", "круг", "字", "$5$"]
    labels = plot_words(names)
    assert labels == ["方块", "круг", "2", r"\$5\$"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = Figure()
        figure.subplots().set_xticks(range(4), labels, fontfamily=plot_families(labels))
        figure.savefig(fonts / "a.png")


def test_emoji_without_a_font_are_spelled(fonts):
    """The two stay two classes, a heart that DejaVu has stays a heart, and no legend is needed."""
    names = (
        "car \N{AUTOMOBILE}",
        "car",
        "\N{BLACK HEART SUIT}",
        "\N{TENT}\N{VARIATION SELECTOR-16}",
    )
    assert plot_words(names) == ["car automobile", "car", "\N{BLACK HEART SUIT}", "tent"]
    np.testing.assert_array_equal(draw(names[0]), draw("car automobile"))
    write_legend(names, fonts)
    assert not (fonts / "classes.txt").exists()
    make_font(fonts / "emoji.ttf", "\N{AUTOMOBILE}")
    for function in CACHED:
        function.cache_clear()
    assert plot_words(names[:1]) == [names[0]]
