"""What a checkpoint may name beyond torch's own, and what is made of it.

Each such name leads to a small class that keeps what it is given and does nothing. After the file
has been read, `make_plain` checks what was kept and makes real arrays and buffers of it.
"""

import math
import re
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from mmengine.logging import HistoryBuffer


class NotPlainError(ValueError):
    """Something in a file is no plain data; the message begins with a verb."""


class StandIn:
    """Keeps what the real thing would be made of: arguments, and the state set afterwards."""

    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: object) -> "StandIn":
        self = super().__new__(cls)
        self.args, self.state = args, None
        return self

    def __init__(self, *args: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __call__(self, *args: object) -> None:
        raise NotPlainError(f"calls what it makes by {_path(type(self))}; that would run code")

    def real(self, memo: dict) -> object:
        """The plain thing.

        Raises:
            NotPlainError: What was kept does not describe one.
        """
        raise NotPlainError(f"makes something of {_path(type(self))}")


class _Array(StandIn):
    """``_reconstruct(ndarray, (0,), b"b")``; state: version, shape, dtype, Fortran, data."""

    def real(self, memo: dict) -> np.ndarray:
        _, shape, dtype, fortran, data = self.state
        dtype, data = _real(dtype, _DType, memo), _convert(data, memo)
        if not all(type(side) is int and side >= 0 for side in shape):
            raise NotPlainError(f"holds an array of shape {shape}")
        if dtype.hasobject:
            array = np.empty(len(data), object)
            for i, item in enumerate(data):  # not at once: numpy would take lists apart
                array[i] = item
        else:
            array = np.frombuffer(data, dtype).copy() if dtype.itemsize else np.empty(0, dtype)
        if len(array) != math.prod(shape):
            raise NotPlainError(f"is damaged: {len(array)} values for an array of shape {shape}")
        return array.reshape(shape, order="F" if fortran else "C")


class _Scalar(StandIn):
    """``scalar(dtype, data)``."""

    def real(self, memo: dict) -> np.generic:
        dtype, data = _real(self.args[0], _DType, memo), _convert(self.args[1], memo)
        if dtype.hasobject or len(data) != dtype.itemsize:
            raise NotPlainError(f"is damaged: {len(data)} bytes for a number of type {dtype}")
        return np.frombuffer(data, dtype)[0] if data else dtype.type()


class _DType(StandIn):
    """``dtype("f4", False, True)``; state: version, byte order, four None, ..., metadata."""

    def real(self, memo: dict) -> np.dtype:
        code = self.args[0].decode() if isinstance(self.args[0], bytes) else self.args[0]
        order = self.state[1] if self.state else "="
        if not re.fullmatch(r"[?biufcSUmMO]\d{0,9}", code) or order not in ("<", ">", "|", "="):
            raise NotPlainError(f"holds an array of type {code!r}")
        if code[0] in "mM" and self.state and len(self.state) > 8:
            unit, number, *_ = self.state[8][1]
            code += f"[{number}{unit.decode()}]"
        return np.dtype(order + code)


class _Buffer(StandIn):
    """mmengine's `HistoryBuffer`."""

    def real(self, memo: dict) -> HistoryBuffer:
        state = self.state
        logs, counts = (
            _real(state[key], _Array, memo) for key in ("_log_history", "_count_history")
        )
        return HistoryBuffer(logs, counts, _convert(state["max_length"], memo))


class _BufferMethod(StandIn):
    """`getattr`, by which buffers name four methods of theirs: none is given out."""

    def real(self, memo: dict) -> None:
        owner, name = self.args
        if owner is not STAND_INS_BY_NAME[_BUFFER] or name not in ("min", "max", "current", "mean"):
            raise NotPlainError("holds getattr, which would run code when loaded")


class _Namespace(StandIn):
    """The command line in the authors' files, an argparse.Namespace."""

    def real(self, memo: dict) -> dict:
        return _convert(self.state, memo)


class _Path(StandIn):
    """A path in somebody's command line."""

    def real(self, memo: dict) -> str:
        return str(PurePosixPath(*map(str, self.args)))


class _NoBytes(StandIn):
    """``bytes()``, as pickle writes the empty ones."""

    def real(self, memo: dict) -> bytes:
        if self.args:
            raise NotPlainError("holds bytes made of something else")
        return b""


class _Set(StandIn):
    """``set([...])``; torch 2.6 and later read it by themselves."""

    def real(self, memo: dict) -> set:
        (items,) = self.args
        return set(_convert(items, memo))


class _Complex(StandIn):
    """``complex(real, imaginary)``; torch 2.6 and later read it by themselves."""

    def real(self, memo: dict) -> complex:
        return complex(*(_convert(arg, memo) for arg in self.args))


class _Slice(StandIn):
    """A slice."""

    def real(self, memo: dict) -> slice:
        return slice(*(_convert(arg, memo) for arg in self.args))


class _Class(StandIn):
    """A class that is only named, such as numpy.float32."""


_BUFFER = "mmengine.logging.history_buffer.HistoryBuffer"
# Other libraries may add their own to numpy's table.
_NUMPY = {t for t in (*np.sctypeDict.values(), np.ndarray) if t.__module__ == "numpy"}
_TYPES = {f"numpy.{t.__name__}": t for t in _NUMPY}
_NAMES = {
    _BUFFER: _Buffer,
    "builtins.getattr": _BufferMethod,
    "builtins.bytes": _NoBytes,
    "builtins.set": _Set,
    "builtins.complex": _Complex,
    "builtins.slice": _Slice,
    "numpy._core.multiarray._reconstruct": _Array,
    "numpy.core.multiarray._reconstruct": _Array,  # numpy 1
    "numpy._core.multiarray.scalar": _Scalar,
    "numpy.core.multiarray.scalar": _Scalar,
    "numpy.dtype": _DType,
    "argparse.Namespace": _Namespace,
    "pathlib.PosixPath": _Path,
    "pathlib.PurePosixPath": _Path,
    "pathlib._local.PosixPath": _Path,  # Python 3.13
    **dict.fromkeys(_TYPES, _Class),
}


def _alias(path: str, stand_in: type) -> type:
    """A subclass under the name by which torch's unpickler looks it up."""
    module, _, name = path.rpartition(".")
    return type(name, (stand_in,), {"__module__": module, "__qualname__": name})


STAND_INS_BY_NAME = {path: _alias(path, stand_in) for path, stand_in in _NAMES.items()}
STAND_INS = list(STAND_INS_BY_NAME.values())


def make_plain(content: object) -> object:
    """The content of a file with real things in place of stand-ins; containers stay the same.

    Raises:
        NotPlainError: A stand-in describes nothing real.
    """
    return _convert(content, {})


def _real(value: object, kind: type, memo: dict) -> Any:
    """What a stand-in of this kind stands for."""
    if not isinstance(value, kind):
        raise NotPlainError(f"is damaged: a {type(value).__name__} where a {kind.__name__} belongs")
    return _convert(value, memo)


def _convert(value: object, memo: dict) -> Any:
    """`make_plain` of a part; `memo`: id -> (before, after), so that shared parts are met once."""
    if id(value) in memo:
        return memo[id(value)][1]
    if isinstance(value, StandIn):
        result = value.real(memo)
    elif isinstance(value, dict):
        memo[id(value)] = (value, value)
        return _convert_dict(value, memo)
    elif isinstance(value, list):
        memo[id(value)] = (value, value)
        value[:] = [_convert(item, memo) for item in value]
        return value
    elif type(value) is tuple:
        result = tuple(_convert(item, memo) for item in value)
    elif isinstance(value, set):
        result = {_convert(item, memo) for item in value}
    elif isinstance(value, type) and issubclass(value, StandIn):
        result = _named_class(value)
    elif callable(value):  # torch's list has functions, and readers may call what they find
        name = getattr(value, "__qualname__", type(value).__name__)
        raise NotPlainError(f"holds {value.__module__}.{name}, which is code")
    else:
        return value
    memo[id(value)] = (value, result)
    return result


def _convert_dict(value: dict, memo: dict) -> dict:
    attributes = getattr(value, "__dict__", {})
    if hidden := attributes.keys() & set(dir(type(value))):
        raise NotPlainError(f"it holds a dict with {', '.join(sorted(map(str, hidden)))} replaced")
    items = [(_convert(key, memo), _convert(item, memo)) for key, item in value.items()]
    value.clear()
    for key, item in items:  # `update` of a Counter would count
        value[key] = item
    for name, attribute in attributes.items():
        attributes[name] = _convert(attribute, memo)  # a state dict's `_metadata`
    return value


def _named_class(stand_in: type) -> type:
    path = _path(stand_in)
    if path not in _TYPES:
        raise NotPlainError(f"holds {path}, which would run code when loaded")
    return _TYPES[path]


def _path(stand_in: type) -> str:
    """The name that stands in a file."""
    return f"{stand_in.__module__}.{stand_in.__qualname__}"
