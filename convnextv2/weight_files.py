"""The forms of weight files, told by their content without reading what is in them."""

import json
import pickletools
import zipfile
from pathlib import Path

LONGEST_HEADER = 100 * 2**20  # of safetensors, as its own library has it
LEGACY_PICKLES = 5  # of a file of torch's before 1.6, in front of the tensors


def check_form(path: Path, measured: bool = True) -> None:
    """Refuse what is no weight file, or only the beginning of one.

    Args:
        path: The file.
        measured: Whether its length is known to be right; torch's old form, pickles and then bare
            numbers, does not show it.

    Raises:
        ValueError: It is none, as ``PATH REASON``.
    """
    with open(path, "rb") as file:
        start = file.read(512)
        if not start:
            raise ValueError(f"{path} is empty")
        if start[:4] == b"PK\3\4":
            _check_zip(path)
        elif start[:1] == b"\x80":
            file.seek(0)
            _check_pickles(path, file, measured)
        elif start[8:9] == b"{":
            _check_safetensors(path, file)
        elif start.lstrip().startswith(b"<"):
            raise ValueError(f"{path} is a web page and no weight file")
        else:
            raise ValueError(f"{path} is no weight file: it begins with {start[:16]!r}")


def _check_zip(path: Path) -> None:
    try:
        zipfile.ZipFile(path).close()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ValueError(f"{path} is truncated or damaged: {error}") from error


def _check_pickles(path: Path, file, measured: bool) -> None:
    try:
        for _ in range(LEGACY_PICKLES):
            for _ in pickletools.genops(file):  # names the steps and takes none
                pass
    except Exception as error:
        raise ValueError(f"{path} is truncated, or a pickle and no weight file") from error
    if not measured:
        raise ValueError(
            f"{path} has torch's old form, which does not show its end, and the server does not "
            "say its length: download it by hand and give its path"
        )


def _check_safetensors(path: Path, file) -> None:
    file.seek(0)
    length, size = int.from_bytes(file.read(8), "little"), path.stat().st_size
    if length > min(size - 8, LONGEST_HEADER):
        raise ValueError(f"{path} is truncated, or no weight file")
    try:
        header = json.loads(file.read(length))
        ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
        missing = 8 + length + max(ends, default=0) - size
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is no weight file: its header is damaged") from error
    if missing:
        raise ValueError(f"{path} is truncated or damaged: {missing} bytes are missing")
