"""Config entries overridden on the command line, ``KEY=VALUE``.

A key that exists nowhere is most often a mistyped one, which would be without effect and without a
word. Accepted are keys that the config has, arguments of the class that the ``type`` beside them
names, and entries that mmengine reads; any other is written with a plus, ``+KEY=VALUE``.
"""

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from convnextv2.engine.errors import InputError, suggest
from convnextv2.engine.known_keys import known_keys

if TYPE_CHECKING:
    from mmengine.config import Config

# Taken as they are written: a folder may be called 2024, or "a, b".
PATHS = (
    *("data_root", "ann_file", "checkpoint", "load_from", "work_dir", "statistics", "shards"),
    *("weights", "images", "annotations", "masks", "mask_suffix"),  # of templates
)
PAIRS = {"(": ")", "[": "]"}


class Option(NamedTuple):
    """One ``KEY=VALUE``."""

    parts: list[str]
    text: str
    new: bool
    """Whether it was written with a plus."""

    @property
    def key(self) -> str:
        """The parts with dots between them."""
        return ".".join(self.parts)


def override(cfg: "Config", texts: list[str]) -> None:
    """Change a config by what ``--cfg-options`` holds, in place.

    Raises:
        InputError: One is not of the form ``KEY=VALUE``, its key exists nowhere or its value is
            of another kind than the entry's.
    """
    options = [read_option(text) for text in texts]
    # As in a config file, `_delete_` empties an entry before others fill it.
    for option in sorted(options, key=lambda option: option.parts[-1] != "_delete_"):
        old = find_entry(cfg, option)
        value = read_value(option.text, option.parts, old)
        if not option.new:
            check_kind(option, old, value)
        assign(cfg, option, value)


def read_option(text: str) -> Option:
    """Take ``KEY=VALUE`` apart, at the first ``=``.

    Raises:
        InputError: It is not of that form.
    """
    key, equals, value = text.partition("=")
    new, key = key.startswith("+"), key.strip().removeprefix("+")
    if not equals or not all(key.split(".")):
        raise InputError(
            f"--cfg-options takes KEY=VALUE, not {text!r}. A value with spaces stands in quotes: "
            '--cfg-options "KEY=my data"'
        )
    return Option(key.split("."), value, new)


def read_value(text: str, parts: list[str], old: object) -> object:
    """The value that a text means at a place of a config.

    ``1``, ``.5``, ``true`` and ``None`` are what they look like, ``1,2``, ``[1,2]`` and ``(1,2)``
    lists and tuples of such, and ``{'a': 1}`` a dict. Anything else is text, spaces included.

    Args:
        text: What is behind the ``=``.
        parts: The key's. What holds paths takes anything as text.
        old: The value there; in the place of a text a comma makes no list.

    Raises:
        InputError: Brackets or quotes do not match.
    """
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    if quoted:
        return text[1:-1]
    is_path = parts[-1] in PATHS or "data_prefix" in parts[:-1]
    if is_path and isinstance(old, (str, type(None))) and text[:1] not in ("[", "("):
        return None if text == "None" else text
    if text[:1] == "{":
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError) as error:
            raise InputError(f"--cfg-options: {text} is no dict of plain values") from error
    if isinstance(old, str) and text[:1] not in PAIRS:
        return read_scalar(text)
    return read_list(text)


def read_list(text: str) -> object:
    """A list or tuple of plain values, or one of them."""
    text = text.strip()
    bracket = text[:1] if text and PAIRS.get(text[0]) == text[-1] else ""
    parts = split(text[1:-1] if bracket else text)
    if not bracket and len(parts) == 1:
        return read_scalar(text)
    values = [read_list(part) for part in parts if part.strip()]
    return tuple(values) if bracket == "(" else values


def split(text: str) -> list[str]:
    """A text's parts between the commas that are in no brackets and no quotes.

    Raises:
        InputError: Brackets do not match.
    """
    parts, open_brackets, quote = [""], [], ""
    for character in text:
        if quote or character in "'\"":
            quote = "" if character == quote else quote or character
        elif character in PAIRS:
            open_brackets.append(PAIRS[character])
        elif character in PAIRS.values() and (
            not open_brackets or open_brackets.pop() != character
        ):
            raise InputError(f"--cfg-options: brackets do not match in {text}")
        if character == "," and not open_brackets and not quote:
            parts.append("")
        else:
            parts[-1] += character
    if open_brackets:
        raise InputError(f"--cfg-options: brackets do not match in {text}")
    return parts


def read_scalar(text: str) -> object:
    """A number, a truth value, None or the text itself."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    words = {"true": True, "false": False}
    return None if text == "None" else words.get(text.lower(), text)


def find_entry(cfg: "Config", option: Option) -> object:
    """The value that an option replaces; None if it is new.

    Raises:
        InputError: The key exists nowhere, and was not written with a plus.
    """
    node: Any = cfg
    for depth, part in enumerate(option.parts):
        where = ".".join(option.parts[:depth])
        if isinstance(node, (list, tuple)):
            if not part.isdecimal() or int(part) >= len(node):
                raise InputError(
                    f"--cfg-options {option.key}: {where} is a list of {len(node)}, which takes "
                    f"a number from 0 to {len(node) - 1} here, not {part!r}"
                )
            node = node[int(part)]
        elif node is None:
            return None
        elif not hasattr(node, "keys"):
            raise InputError(f"--cfg-options {option.key}: {where} is {node!r}, and has no {part}")
        elif part in node:
            node = node[part]
        elif option.new or part in known_keys(cfg, option.parts[:depth], node):
            return None
        else:
            raise InputError(_unknown(cfg, option, depth, node))
    return node


def _unknown(cfg: "Config", option: Option, depth: int, node: dict) -> str:
    where = ".".join(option.parts[:depth])
    below = [f"{where}.{name}".strip(".") for name in known_keys(cfg, option.parts[:depth], node)]
    known = [key for key in dict.fromkeys([*flatten(cfg), *below]) if not key.endswith("_")]
    return (
        f"--cfg-options: the config has no {option.key}{suggest(option.key, known) or '.'} "
        f"If it is to be new, write +{option.key}={option.text}"
    )


def flatten(node: Any, prefix: str = "") -> Iterator[str]:
    """Dotted keys of all entries of a config, groups included."""
    items = node.items() if hasattr(node, "items") else enumerate(node)
    for name, value in items:
        key = f"{prefix}{name}"
        yield key
        if hasattr(value, "items") or isinstance(value, (list, tuple)):
            yield from flatten(value, f"{key}.")


def check_kind(option: Option, old: object, value: object) -> None:
    """Stop where a value cannot be meant.

    Raises:
        InputError: A number or a group of settings is to become something else.
    """
    number = isinstance(value, (int, float))  # truth values too
    wrong = ""
    if isinstance(old, bool) and not (value is None or isinstance(value, (bool, int))):
        wrong = "true or false"
    elif isinstance(old, (int, float)) and isinstance(value, str):
        wrong = "a number"
    elif isinstance(old, dict) and number:
        wrong = f"a group of settings ({', '.join(map(str, list(old)[:4]))}, ...)"
    elif isinstance(old, (list, tuple)) and isinstance(value, bool):
        wrong = "a list"
    if wrong:
        raise InputError(
            f"--cfg-options {option.key}={option.text}: takes {wrong}, and is {_short(old)} in the "
            f"config; +{option.key} takes anything"
        )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < 60 else f"{text[:57]}..."


def assign(cfg: "Config", option: Option, value: object) -> None:
    """Put a value at its place; groups that are not there, or None, are made.

    Raises:
        InputError: The place is in a tuple, which holds what it was made with.
    """
    from mmengine.config import ConfigDict

    *groups, last = option.parts
    node: Any = cfg
    for name in groups:
        listed = isinstance(node, (list, tuple))
        if not listed and node.get(name) is None:
            node[name] = ConfigDict()  # a copy of which becomes the entry
        node = node[int(name) if listed else name]
    if isinstance(node, tuple):
        raise InputError(f"--cfg-options {option.key}: give the whole tuple, now {node}")
    if last == "_delete_":
        if value is True:
            node.clear()
    elif isinstance(node, list):
        node[int(last)] = value
    else:
        node[last] = ConfigDict(value) if isinstance(value, dict) else value
