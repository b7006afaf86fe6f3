"""The values of label masks: read as training does, and held against the classes."""

import io
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from convnextv2.findings import Finding
from convnextv2.images import read_regular

_NPY = b"\x93NUMPY"
MANY = 8  # values that are no class: more of them are something else, such as numbers of objects
RARE = 0.1  # share of the masks

# Of each mask, by its place: pixels of each of its values.
Values = dict[int, dict[int, int]]


class Labels(NamedTuple):
    """How training reads the values of masks.

    Attributes:
        number: Of the classes.
        reduce_zero_label: Whether 0 stands for what is not labelled and classes begin at 1.
        ignored: The label that is left out.
        label_map: Of a data set of which only some classes are wanted: old labels to new ones.
    """

    number: int
    reduce_zero_label: bool = False
    ignored: int = 255
    label_map: Mapping[int, int] | None = None

    def find(self, value: int) -> int:
        """The label of a value: a class's number, `ignored`, or what training fails on."""
        value %= 256  # mmseg reads the lower eight bits
        if self.reduce_zero_label:
            value = 255 if value in (0, 255) else value - 1
        return self.label_map.get(value, value) if self.label_map else value

    def is_wrong(self, value: int) -> bool:
        """Whether a value is neither a class nor ignored."""
        label = self.find(value)
        return label != self.ignored and not 0 <= label < self.number

    def describe(self) -> str:
        """What the values may be."""
        first = int(self.reduce_zero_label)
        words = f"the {self.number} classes are {first} to {self.number - 1 + first}"
        return f"{words}, and {self.ignored} is ignored"


def read_mask(path: str) -> tuple[list[Finding], tuple[int, int] | None, dict[int, int] | None]:
    """Read a mask as training does.

    Returns:
        Findings, its (width, height), and the pixels of each value; None of what cannot be read.
    """
    try:
        content = read_regular(path)
        file = io.BytesIO(content)
        labels = np.load(file) if content.startswith(_NPY) else np.array(Image.open(file))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        text = "truncated, or no image" if "cannot identify" in reason else reason
        return [Finding("fatal", "masks that cannot be read", text, path)], None, None
    labels = labels[..., 0] if labels.shape[2:] == (1,) else labels
    size = labels.shape[1::-1]
    if content.startswith(b"\xff\xd8"):
        text = "saved as JPEG, which blurs the numbers of the classes; save masks as PNG"
        return [Finding("fatal", "masks saved as JPEG", text, path)], size, None
    if labels.ndim != 2:
        text = f"{labels.shape[-1]} channels, expected one: class numbers, not colours"
        text += _describe_colours(labels)
        return [Finding("fatal", "masks of several channels: colours?", text, path)], size, None
    if labels.dtype.kind == "f" and (labels != labels.round()).any():
        text = "values that are no whole numbers: class numbers are needed"
        return [Finding("fatal", "masks of fractions", text, path)], size, None
    values, pixels = np.unique(labels.astype(int), return_counts=True)
    if values[0] < 0 or values[-1] > 255:
        beyond = [value for value in values.tolist() if not 0 <= value <= 255]
        text = f"holds {beyond[0]}; labels are 0 to 255: mmseg's reader takes the lower 8 bits, "
        text += f"{beyond[0]} as {beyond[0] % 256}, LoadLabelMask refuses it"
        return [Finding("fatal", "masks with values of more than 8 bits", text, path)], size, None
    return [], size, dict(zip(values.tolist(), pixels.tolist(), strict=True))


def judge_values(
    values: Values,
    labels: Labels,
    classes: Sequence[str],
    masks: Sequence[str],
    images: Sequence[str],
    name: str,
) -> Iterator[Finding]:
    """Findings about the values of all masks of a part.

    Args:
        values: Of each mask that was read.
        labels: How training reads them.
        classes: Names.
        masks: Paths.
        images: Paths of the images that they belong to.
        name: Of the part.
    """
    if not values or not classes:
        return
    holders: dict[int, list[int]] = defaultdict(list)
    for place, found in values.items():
        for value in found:
            holders[value].append(place)
        if all(labels.find(value) == labels.ignored for value in found):
            kind, text = "masks of which every pixel is ignored", "every pixel is ignored"
            yield Finding("warning", kind, text, masks[place], images[place])
    wrong = [value for value in sorted(holders) if labels.is_wrong(value)]
    for value in wrong if len(wrong) <= MANY else ():
        hint = _explain(value, wrong, holders, labels)
        kind = f"masks with the value {value}, which is no class: {hint}"
        for place in holders[value]:
            text = f"holds the value {value} ({values[place][value]} pixels); {labels.describe()}: "
            yield Finding("fatal", kind, text + hint, masks[place], images[place])
    if len(wrong) > MANY:
        yield from _name_many(values, labels, masks, images)
    yield from _check_classes(values, holders, labels, classes, name)
    yield from _find_odd_extremes(values, holders, labels, masks, images)


def hides_class(values: Values, labels: Labels) -> bool:
    """Whether the masks hold 0 and an ignored 255 alone, as if that were the second class."""
    return (
        labels.number > 1
        and labels.ignored == 255
        and not labels.reduce_zero_label
        and set().union(*values.values()) == {0, 255}
    )


def _explain(value: int, wrong: list[int], holders: dict, labels: Labels) -> str:
    """What a value that is no class may be meant as."""
    if wrong == [labels.number] and 0 not in holders and not labels.reduce_zero_label:
        return "do the classes begin at 1? then `reduce_zero_label=True`"
    if value == 255:
        return f"255 is not ignored, `ignore_index` is {labels.ignored}"
    if len(holders) == 2 and 0 in holders and len(wrong) == 1:
        return f"the masks hold 0 and {value} alone: is {value} class 1? write 1 in its place"
    return f"is it void? `ignore_index={value}`, or a class that `classes` lacks"


def _name_many(
    values: Values, labels: Labels, masks: Sequence[str], images: Sequence[str]
) -> Iterator[Finding]:
    kind = "masks with many values that are no class: numbers of objects, or shades?"
    for place, found in values.items():
        wrong = [value for value in found if labels.is_wrong(value)]
        if wrong:
            said = ", ".join(map(str, wrong[:MANY])) + (", ..." if len(wrong) > MANY else "")
            text = f"holds the values {said}; {labels.describe()}: are they numbers of objects, or "
            text += "shades of an image?"
            yield Finding("fatal", kind, text, masks[place], images[place])


def _check_classes(
    values: Values, holders: dict, labels: Labels, classes: Sequence[str], name: str
) -> Iterator[Finding]:
    """Classes without a pixel, and why that may be."""
    there = {labels.find(value) for value in holders}
    empty = [i for i in range(len(classes)) if i not in there]
    if hides_class(values, labels):
        missing = ", ".join(map(repr, (classes[i] for i in empty)))
        text = f"{name}: all {len(values)} masks that were read hold 0 and 255 alone, and 255 is "
        text += (
            f"ignored, so that {missing} has no pixel: is 255 the class? write its number, 1, in "
        )
        text += "place of 255"
        yield Finding("fatal", "parts with masks of 0 and 255 alone", text)
        return
    for i in empty:
        text = f"{name}: class {classes[i]!r} has no pixel"
        if labels.reduce_zero_label and i == len(classes) - 1 and 0 in holders:
            text += ", and 0 is not learned: do the classes begin at 0? reduce_zero_label=False"
        yield Finding("warning", f"classes without a pixel in {name}", text)


def _find_odd_extremes(
    values: Values, holders: dict, labels: Labels, masks: Sequence[str], images: Sequence[str]
) -> Iterator[Finding]:
    """Masks of 0 and 255 alone, where nearly no other mask knows 255."""
    rare = len(holders[255]) <= max(1, RARE * len(values))
    if labels.ignored != 255 or not rare or len(values) < 4:
        return
    text = "holds 0 and 255 alone, and 255 is ignored; hardly another mask has 255: is it a class?"
    for place in holders[255]:
        if set(values[place]) == {0, 255}:
            kind = "masks of 0 and 255 alone, unlike the others"
            yield Finding("warning", kind, text, masks[place], images[place])


def _describe_colours(labels: np.ndarray) -> str:
    if (labels[..., :1] == labels).all():
        return "; all channels are equal: keep one of them"
    small = labels.reshape(-1, labels.shape[-1])
    counts = Counter(map(tuple, small[:: max(1, len(small) // 5000)].tolist()))
    if len(counts) > 64:
        return "; it has as many colours as a photograph"
    colours = ", ".join(str(colour) for colour, _ in counts.most_common(4))
    return f"; it has the colours {colours}: a class for each?"
