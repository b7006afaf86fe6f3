"""Results that are on the disk before a command has ended."""

import json
import os
from pathlib import Path
from typing import IO


class ResultsFile:
    """A json list that is written as it grows; a context manager.

    Each addition goes at once to a file of lines beside it. The list is made from these at the
    end, also at one by an error; the lines are then removed. A killed process leaves the lines.

    Args:
        path: Of the list, ends in ``.json``. Nothing is written before the first addition.

    Attributes:
        count: Objects so far; None before the first addition.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.lines = path, path.with_suffix(".jsonl")
        self.count: int | None = None
        self._file: IO[str] | None = None

    def __enter__(self) -> "ResultsFile":
        return self

    def add(self, entries: list[dict]) -> None:
        """Write the objects of one image, of which there may be none."""
        if self._file is None:
            self.lines.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.lines, "w")  # noqa: SIM115  see __exit__
        self._file.write("".join(f"{json.dumps(entry)}\n" for entry in entries))
        self._file.flush()
        self.count = (self.count or 0) + len(entries)

    def __exit__(self, *error: object) -> None:
        if self._file is None:
            return
        self._file.close()
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}.partial")
        try:
            with open(self.lines) as lines, open(partial, "w") as file:
                file.write("[")
                for number, line in enumerate(lines):
                    file.write(("," if number else "") + "\n" + line.rstrip("\n"))
                file.write("\n]\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, self.path)
        finally:
            partial.unlink(missing_ok=True)
        self.lines.unlink()
