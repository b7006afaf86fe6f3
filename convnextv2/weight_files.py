"""The forms of weight files, told and checked by their content before anything in them is read."""

import json
import pickletools
import zipfile
from pathlib import Path
from typing import IO

LONGEST_HEADER = 100 * 2**20  # of safetensors, as its own library has it
LEGACY_PICKLES = 5  # of a file of torch's before 1.6, in front of the tensors
# How files begin that people take for weights.
_OTHERS = {
    b"version https://git-lfs": "is a pointer of Git LFS and no weight file; git lfs pull gets it",
    b"<": "is a web page and no weight file",
    b"\x1f\x8b": "is a gzip archive and no weight file; unpack it first",
    b"\x89HDF": "is an HDF5 file and no weight file of these",
    b"7z\xbc\xaf": "is a 7z archive and no weight file; unpack it first",
}


def check_form(path: Path, measured: bool = True) -> str:
    """Refuse what is no weight file, or a damaged one, as far as it can be seen from outside.

    Args:
        path: The file.
        measured: Whether its length is known to be right; torch's old form, pickles and then bare
            numbers, does not show it.

    Returns:
        ``torch`` or ``safetensors``.

    Raises:
        ValueError: It is none. The message begins with a verb: "is empty".
    """
    with open(path, "rb") as file:
        start = file.read(512)
        if start[8:9] == b"{" and _is_safetensors(path, start):
            _check_safetensors(path, file)
            return "safetensors"
        if start[:4] == b"PK\3\4":
            _check_zip(path)
        elif start[:1] == b"\x80":
            file.seek(0)
            _check_pickles(file, measured)
        else:
            raise ValueError(_name_other(start))
    return "torch"


def _is_safetensors(path: Path, start: bytes) -> bool:
    """Whether what stands before a json's begin is its length, and not a pickle's beginning."""
    length = int.from_bytes(start[:8], "little")
    return length <= path.stat().st_size or start[:1] != b"\x80"


def _name_other(start: bytes) -> str:
    if not start:
        return "is empty"
    if start[257:262] == b"ustar":
        return "is a tar archive and no weight file; unpack it first"
    for magic, what in _OTHERS.items():
        if start.lstrip().startswith(magic):
            return what
    return f"is neither of torch's nor of safetensors' form: it begins with {start[:16]!r}"


def _check_zip(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive.infolist())
            damaged = archive.testzip()  # torch would load a wrong bit without a word
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"is truncated or damaged: {error}") from error
    if damaged:
        raise ValueError(f"is damaged: the checksum of {damaged} is wrong")


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    if any(name.split("/", 1)[-1] == "constants.pkl" for name in names):
        raise ValueError("is TorchScript, which is code; save the model's state_dict instead")
    if not any(name.split("/", 1)[-1] == "data.pkl" for name in names):
        some = ", ".join(names[:3]) or "nothing"
        raise ValueError(f"is a zip archive with {some} in it, no weight file; unpack it first")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("has compressed parts, which torch does not write")


def _check_pickles(file: IO[bytes], measured: bool) -> None:
    try:
        for _ in range(LEGACY_PICKLES):
            for _ in pickletools.genops(file):  # names the steps and takes none
                pass
    except Exception as error:
        raise ValueError("is truncated, or a pickle that torch did not write") from error
    if not measured:
        raise ValueError(
            "has torch's old form, which does not show its end, and the server does not say its "
            "length: download it by hand and give its path"
        )


def _check_safetensors(path: Path, file: IO[bytes]) -> None:
    file.seek(0)
    length, size = int.from_bytes(file.read(8), "little"), path.stat().st_size
    if length > min(size - 8, LONGEST_HEADER):
        raise ValueError("is truncated, or no weight file")
    try:
        header = json.loads(file.read(length))
        ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
        missing = 8 + length + max(ends, default=0) - size
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("is no weight file: its header is damaged") from error
    if missing:
        raise ValueError(f"is truncated or damaged: {missing} bytes are missing")
