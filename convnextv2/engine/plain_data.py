"""What a checkpoint may hold beside tensors, so that it can be read again without running code."""

from collections import OrderedDict
from datetime import date, timedelta
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

_BASES: tuple[Any, ...] = (bool, int, float, complex, str, bytes)
_KEPT = (torch.Tensor, torch.Size, torch.dtype, torch.device, np.dtype, slice, type(None))


def keep_plain(value: object, where: str, dropped: list[str]) -> object:
    """The plain form of a part of a checkpoint.

    Containers and numbers of special types become the usual ones, paths and dates text. What has
    no plain form is left out of its container.

    Args:
        value: The part; not changed.
        where: Its name, for `dropped`.
        dropped: Receives the names and types of what was left out.
    """
    plain = _plain(value, where, dropped)
    return None if plain is _NOTHING else plain


_NOTHING = object()


def _plain(value: object, where: str, dropped: list[str]) -> object:
    if isinstance(value, HistoryBuffer):
        return _with_own_statistics(value)
    if isinstance(value, _KEPT) or type(value) in _BASES or _is_plain_array(value):
        return value
    if isinstance(value, dict):
        mapping = OrderedDict if isinstance(value, OrderedDict) else dict
        items = {k: _plain(v, f"{where}.{k}", dropped) for k, v in value.items()}
        keys = {k: _plain(k, f"{where}.{k}", dropped) for k in items}
        kept = ((keys[k], v) for k, v in items.items() if v is not _NOTHING)
        return mapping((k, v) for k, v in kept if k is not _NOTHING)
    if isinstance(value, (list, tuple, set, frozenset)):
        kind = next(k for k in (list, tuple, set) if isinstance(value, k) or k is set)
        members = (_plain(v, f"{where}[{i}]", dropped) for i, v in enumerate(value))
        return kind(member for member in members if member is not _NOTHING)
    if isinstance(value, (PurePath, date, timedelta)):
        return str(value)
    for base in _BASES:  # of an enum, or of somebody's str with methods
        if isinstance(value, base):
            return base(value)
    dropped.append(f"{where} ({type(value).__name__})")
    return _NOTHING


def _is_plain_array(value: object) -> bool:
    if isinstance(value, np.generic):
        return value.dtype.kind in "biufcSUmM"
    if type(value) is not np.ndarray:
        return False
    return value.dtype.kind in "biufcSUmM" or (
        value.dtype.kind == "O" and all(type(v) in (*_BASES, type(None)) for v in value.flat)
    )


def _with_own_statistics(buffer: HistoryBuffer) -> HistoryBuffer:
    """The buffer without statistics that somebody registered: these are functions, so code."""
    own = {"min", "max", "current", "mean"}
    if set(buffer._statistics_methods) <= own:
        return buffer
    stripped = HistoryBuffer(*buffer.data, max_length=buffer.max_length)
    stripped._statistics_methods = {k: v for k, v in buffer._statistics_methods.items() if k in own}
    return stripped
