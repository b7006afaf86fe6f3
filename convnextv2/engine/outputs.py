"""Whether results could be written, asked before they are computed."""

import tempfile
from pathlib import Path

from convnextv2.engine.errors import InputError


def check_folder(path: str | Path, setting: str) -> None:
    """Stop if files could not be written into a folder, which may have to be made first.

    Args:
        path: Of the folder. Nothing is made here.
        setting: Where the user gave it, such as ``--out``.

    Raises:
        InputError: A file is in the way, or the system refuses to write there.
    """
    folder = Path(path).expanduser().absolute()
    try:
        while not folder.exists():
            folder = folder.parent
        if not folder.is_dir():
            raise InputError(f"{setting} {path}: {folder} is a file, and no folder")
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"{setting} {path}: cannot write in {folder}: {error.strerror or error}"
        ) from error


def check_file(path: str | Path, setting: str, suffixes: tuple[str, ...] = ()) -> None:
    """Stop if a file could not be written.

    Args:
        path: Of the file. Nothing is made here.
        setting: Where the user gave it, such as ``--out``.
        suffixes: One of which its name must have, if there are any.

    Raises:
        InputError: The name is that of a folder or of another kind of file, or the system refuses.
    """
    file = Path(path).expanduser()
    if suffixes and file.suffix.lower() not in suffixes:
        raise InputError(f"{setting} {path}: the name must end in {' or '.join(suffixes)}")
    if file.is_dir():
        raise InputError(f"{setting} {path} is a folder; give the name of a file in it")
    if file.is_fifo():  # writing would wait for somebody who reads
        raise InputError(f"{setting} {path} is a pipe, and no file")
    check_folder(file.parent, setting)
