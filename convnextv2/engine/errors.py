"""Errors as sentences.

Nothing heavy is imported at the top, so that `--help` of the commands answers at once.
"""

import linecache
import re
import traceback
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

LONGEST = 400  # characters in a line of somebody else's message
# Folders of this project that hold Python files.
OWN = ("convnextv2", "backbone", "pretrain", "detection", "segmentation", "tools")
ROOT = Path(__file__).resolve().parents[2]
# Kinds whose text is written for readers, where this project raises them.
SENTENCES = (ValueError, OSError, RuntimeError, ImportError)


class InputError(ValueError):
    """What the user gave cannot be used; the message is all that there is to say."""


def is_expected(error: BaseException) -> bool:
    """Whether an error's own text tells the user all that is needed, so no traceback is."""
    if isinstance(error, (InputError, SystemExit)):
        return True
    if isinstance(error, OSError) and error.filename is not None:
        return True
    return isinstance(error, SENTENCES) and bool(str(error)) and _is_ours(error)


def describe(error: BaseException) -> str:
    """What went wrong, in a line or, where the error is a list, in a few.

    Args:
        error: As it was caught, with its traceback.

    Returns:
        The error's own words if it is an expected one; otherwise its kind, its words made short,
        and the file that raised it.
    """
    if isinstance(error, OSError) and error.filename is not None:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return f"{' -> '.join(names)}: {error.strerror}"
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if is_expected(error):
        return _own_words(text)
    return (
        _unknown_type(text)
        or _unknown_argument(error, text)
        or f"{type(error).__name__}: {_shorten(text) or _failed_line(error)}{_place(error)}"
    )


def suggest(word: str, known: Iterable[object], count: int = 3) -> str:
    """``; did you mean A, B?`` of the known words that resemble one, or nothing."""
    near = get_close_matches(word, list(map(str, known)), count, cutoff=0.6)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _unknown_type(text: str) -> str:
    """Of mmengine's words about a `type` that no registry has."""
    match = re.match(r"(\S+) is not in the (\S+)::(.+?) registry", text)
    name = match[1] if match else (re.fullmatch(r"Failed to get (\S+)", text) or [None, ""])[1]
    if not name:
        return ""
    from mmengine import registry

    kinds = [r for r in vars(registry).values() if isinstance(r, registry.Registry)]
    kinds = [r for r in kinds if not match or r.name == match[3]]
    nodes = [node for r in kinds for node in (r, *r.children.values())]
    known = {
        f"{node.scope}.{key}" if "." in name else key for node in nodes for key in node.module_dict
    }
    kind = f" {match[3]}" if match else ""
    return f"no{kind} type {name!r} is known{suggest(name, sorted(known))}"


def _unknown_argument(error: BaseException, text: str) -> str:
    """Of Python's words about an argument that a class does not take."""
    match = re.search(r"(\w+)\.__init__\(\) (got an unexpected|missing) (.+)", text)
    if not isinstance(error, TypeError) or not match:
        return ""
    names = re.findall(r"'(\w+)'", match[3])
    takes = "does not take" if match[2] != "missing" else "needs"
    return f"{match[1]} {takes} {', '.join(names)}: see the config's entry of this type"


def _own_words(text: str) -> str:
    """Without the traceback that torch puts around an error of a worker process."""
    if "Traceback (most recent call last)" not in text:
        return text
    return text.strip().splitlines()[-1].partition(": ")[2]


def _shorten(text: str) -> str:
    # A worker's error holds its whole traceback, of which the last line says what it was.
    if "Traceback (most recent call last)" in text:
        text = text.strip().splitlines()[-1]
    lines = [line for line in text.splitlines() if line.strip()][:8]
    return "\n".join(line if len(line) <= LONGEST else f"{line[:LONGEST]} ..." for line in lines)


def _failed_line(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "no reason was given"
    return linecache.getline(frames[-1].filename, frames[-1].lineno or 0).strip()


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    path = Path(frames[-1].filename)
    parts = path.parts
    if "site-packages" in parts:
        path = Path(*parts[parts.index("site-packages") + 1 :])
    elif path.is_relative_to(ROOT):
        path = path.relative_to(ROOT)
    return f" (raised in {path})"


def _is_ours(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return True
    path = Path(frames[-1].filename).resolve()
    if not path.is_relative_to(ROOT):
        return False
    return path.relative_to(ROOT).parts[0] in OWN
