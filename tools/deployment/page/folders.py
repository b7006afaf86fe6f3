"""Folders of results, which do not stay."""

import shutil
import tempfile
import time
from pathlib import Path


def make_folder(root: Path, kept: float) -> Path:
    """A new folder below `root`; those older than `kept` seconds are removed."""
    root.mkdir(parents=True, exist_ok=True)
    for folder in root.iterdir():
        if time.time() - folder.stat().st_mtime > kept:
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(dir=root))
