"""The settings of templates, and what each may be."""

from collections.abc import Callable, Iterator, Mapping
from numbers import Real
from typing import Any, NamedTuple

from convnextv2.engine.errors import suggest

STRIDE = 32  # of the backbone's last stage
DTYPES = ("uint8", "uint16", "float32")


class Setting(NamedTuple):
    """What a setting may be."""

    fits: Callable[[Any], bool]
    words: str
    """What is right, to be read after "must be"."""


def _is_count(value: Any, lowest: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= lowest


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and abs(float(value)) < 1e30


def _is_list(value: Any, *lengths: int) -> bool:
    return isinstance(value, (list, tuple)) and (not lengths or len(value) in lengths)


def _is_side(value: Any) -> bool:
    return _is_count(value) and value % STRIDE == 0


def _is_size(value: Any) -> bool:
    return _is_side(value) or (_is_list(value, 2) and all(map(_is_side, value)))


def _are_names(value: Any) -> bool:
    texts = _is_list(value) and all(isinstance(name, str) and name.strip() for name in value)
    return texts and 0 < len(value) == len(set(value))


def _is_range(value: Any) -> bool:
    return _is_list(value, 2) and all(map(_is_number, value)) and 0 < value[0] <= value[1]


def _are_numbers(value: Any) -> bool:
    return _is_list(value) and len(value) > 0 and all(map(_is_number, value))


def _or_none(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_PLACES = Setting(_or_none(lambda value: hasattr(value, "items")), "a group, dict(images=...)")
SETTINGS = {
    "data_root": Setting(_or_none(_is_text), "a folder, or None"),
    "train": _PLACES,
    "val": _PLACES,
    "mask_suffix": Setting(
        _or_none(lambda value: _is_text(value) and len(value) > 0),
        "the end of the masks' names, such as '_L.png', or None",
    ),
    "classes": Setting(
        _are_names, "different names in brackets, such as ('cat', 'dog'), or ('cat',) for one"
    ),
    "ignore_index": Setting(
        lambda value: _is_count(value, 0) and value < 256, "a whole number from 0 to 255"
    ),
    "arch": Setting(lambda value: _is_text(value) or hasattr(value, "items"), "a name"),
    "weights": Setting(_or_none(_is_text), "a name, a path, an address or None"),
    "frozen_stages": Setting(
        lambda value: _is_count(value, 0) and value <= 4, "a whole number from 0 to 4"
    ),
    "image_size": Setting(_is_size, f"a multiple of {STRIDE}, or two of them, (height, width)"),
    "scale": Setting(_is_range, "two numbers above 0, (smallest, largest)"),
    "bands": Setting(_is_count, "a whole number, 1 or more"),
    "dtype": Setting(
        lambda value: value in (None, *DTYPES), f"one of {', '.join(DTYPES)}, or None"
    ),
    "mean": Setting(_or_none(_are_numbers), "a list of numbers, one a band, or None"),
    "std": Setting(
        _or_none(lambda value: _are_numbers(value) and min(value) > 0),
        "a list of numbers above 0, one a band, or None",
    ),
    "iterations": Setting(_or_none(_is_count), "a whole number, 1 or more, or None"),
    "epochs": Setting(_or_none(_is_count), "a whole number, 1 or more, or None"),
    "batch_size": Setting(_is_count, "a whole number, 1 or more"),
    "lr": Setting(
        _or_none(lambda value: _is_number(value) and value > 0), "a number above 0, or None"
    ),
}


def find_wrong(settings: Mapping[str, Any], places: Mapping[str, bool]) -> list[str]:
    """Lines about the settings that cannot be, or not together.

    Args:
        settings: Value of each.
        places: Entries that `train` and `val` take, and whether they need each.
    """
    wrong = [
        f"{name} must be {SETTINGS[name].words}, not {value!r}{_nearest(name, value)}"
        for name, value in settings.items()
        if not SETTINGS[name].fits(value)
    ]
    return wrong or [*_wrong_places(settings, places), *_contradictions(settings)]


def _nearest(name: str, value: Any) -> str:
    if name == "classes" and isinstance(value, str):
        return f"; one class of that name is ({value!r},)"
    if name == "image_size" and _is_count(value):
        below, above = value // STRIDE * STRIDE, (value // STRIDE + 1) * STRIDE
        return f"; near it are {below} and {above}" if below else f"; the smallest is {above}"
    return ""


def _wrong_places(settings: Mapping[str, Any], places: Mapping[str, bool]) -> Iterator[str]:
    for part in ("train", "val"):
        given = settings[part]
        if given is None:
            continue
        for key in given:
            if key not in places:
                hint = suggest(key, places) or f"; it takes {', '.join(places)}"
                yield f"{part} has no {key}{hint}"
            elif given[key] is not None and not isinstance(given[key], str):
                yield f"{part}.{key} must be a path, not {given[key]!r}"
        missing = [key for key, needed in places.items() if needed and given.get(key) is None]
        if missing:
            yield f"{part} lacks {' and '.join(missing)}"


def _contradictions(settings: Mapping[str, Any]) -> Iterator[str]:
    if settings["iterations"] is not None and settings["epochs"] is not None:
        yield "iterations and epochs are both set: give one of them"
    mean, std, bands = (settings[name] for name in ("mean", "std", "bands"))
    if (mean is None) != (std is None):
        yield "mean and std: give both or none of them"
    for name in ("mean", "std"):
        if settings[name] is not None and len(settings[name]) != bands:
            yield f"{name} has {len(settings[name])} numbers, but bands is {bands}"
    if isinstance(settings["arch"], Mapping) and settings["weights"] in ("fcmae", "imagenet"):
        yield "weights: none were released of an arch of your own; give a path, or None"
