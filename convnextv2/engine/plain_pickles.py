"""Reading torch's files so that nothing in them runs: tensors and plain data come out.

torch's restricted unpickler calls whatever it finds on a list of names, and mmengine's addition to
that list has `getattr`, by which a file reaches the interpreter. So nothing of mmengine or numpy is
called here. Each name that checkpoints hold beyond torch's own leads to a small class below, which
keeps what it is given and does nothing; real arrays and buffers are made afterwards, of what was
checked. The test of this file pins torch's own list: it fails when that grows.
"""

import pickle
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from .stand_ins import STAND_INS, NotPlainError, make_plain

DESCRIPTION = "only tensors and plain data are read"


def load_plain(path: Path, map_location: object = "cpu") -> object:
    """What `torch.save` wrote into a file, which is compared with its checksums.

    Args:
        path: The file.
        map_location: As of `torch.load`; ``meta`` makes tensors without values.

    Raises:
        ValueError: The file is damaged, or holds anything but tensors and plain data. The
            message says what, not which file.
    """
    _check_container(path)
    try:
        with _only(STAND_INS):
            content = torch.load(path, map_location=map_location, weights_only=True)
        return make_plain(content)
    except pickle.UnpicklingError as error:
        raise ValueError(_explain(str(error))) from error
    except NotPlainError:
        raise
    except RecursionError as error:
        raise ValueError("data nested deeper than any checkpoint's") from error
    except Exception as error:  # a crafted pickle makes torch raise whatever it stumbles on
        if "magic number" in str(error):
            raise ValueError(f"a pickle that torch did not write; {DESCRIPTION}") from error
        reason = " ".join(str(error).split("\n")[0].split()) or type(error).__name__
        raise ValueError(f"damaged: {reason}") from error


def _check_container(path: Path) -> None:
    """Refuse what `torch.load` would answer with advice to switch its protection off."""
    head = _read_head(path)
    if not head:
        raise ValueError("the file is empty")
    if head[257:262] == b"ustar":
        raise ValueError("a tar archive, no weight file; unpack it first")
    for magic, what in _OTHERS.items():
        if head.startswith(magic):
            raise ValueError(f"{what}, no weight file")
    if head.startswith(b"PK"):
        _check_zip(path)
    elif not head.startswith(b"\x80"):
        raise ValueError(f"neither torch's nor safetensors' format; it begins with {head[:8]!r}")


def _check_zip(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(members)
            damaged = archive.testzip()  # torch would load a wrong bit without a word
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"truncated or damaged: {error}") from error
    if damaged:
        raise ValueError(f"damaged: the checksum of {damaged} is wrong")


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    if any(name.split("/", 1)[-1] == "constants.pkl" for name in names):
        raise ValueError("TorchScript, which is code; save the model's state_dict instead")
    if not any(name.split("/", 1)[-1] == "data.pkl" for name in names):
        some = ", ".join(names[:3]) or "nothing"
        raise ValueError(f"a zip archive with {some} in it, no weight file; unpack it first")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("it has compressed parts, which torch does not write")


def _read_head(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(512)


# How files begin that people take for weights.
_OTHERS = {
    b"version https://git-lfs": "a pointer of Git LFS (git lfs pull gets the file)",
    b"<": "a page of a web site",
    b"\x1f\x8b": "a gzip archive",
    b"\x89HDF": "an HDF5 file",
    b"7z\xbc\xaf": "a 7z archive",
}


def _explain(reason: str) -> str:
    """torch's refusal without its advice."""
    if match := re.search(r"GLOBAL (\S+?),? (?:was|whose)", reason):
        name = match[1].removeprefix("builtins.")  # which torch 2.5 says
        return f"it holds {name}, which would run code when loaded; {DESCRIPTION}"
    if "Invalid magic number" in reason or "Unsupported operand" in reason:
        return f"a pickle that torch did not write; {DESCRIPTION}"
    first = reason.split("\n")[0].replace("Weights only load failed.", "").strip()
    lines = [line for line in reason.split("\n") if line.startswith("WeightsUnpickler error")]
    text = (lines[0].partition(": ")[2] if lines else first) or "not readable"
    return f"{text.split('. ')[0].rstrip('.')}; {DESCRIPTION}"


@contextmanager
def _only(allowed: list) -> Iterator[None]:
    """Let torch's unpickler know these names beyond its own, and no other library's."""
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(allowed)
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)
