"""The numbers that a run has logged, across all the times that it was stopped and resumed."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from convnextv2.files import AtomicLocalBackend

# Of a record, what says when it was written and not what was measured.
PLACES = ("iter", "step", "epoch")


class Record(NamedTuple):
    """What was logged at a time.

    Attributes:
        iteration: Of training, from 1.
        values: Name -> number.
        trained: Whether they tell of training; otherwise of a validation or of a hook.
    """

    iteration: int
    values: dict[str, float]
    trained: bool


def read_scalars(work_dir: str | Path) -> list[Record]:
    """The records of all runs of a work dir, in the order of iterations.

    Where a run went on from a checkpoint, what an earlier one logged after it is left out; so is
    an earlier training that was begun anew. A line cut off by a kill is passed over.

    Args:
        work_dir: Of the training, with a folder for each start.
    """
    records: list[Record] = []
    for path in sorted(Path(work_dir).glob("*/vis_data/scalars.json")):
        later = _read_file(path)
        begin = next((record.iteration for record in later if record.trained), None)
        if begin is not None:
            records = [record for record in records if record.iteration < begin]
            records += later
    return records


def _read_file(path: Path) -> list[Record]:
    records, last = [], 0
    for line in path.read_text(errors="replace").splitlines():
        try:
            content = json.loads(line)
        except ValueError:
            continue
        values = {
            key: value
            for key, value in content.items()
            if isinstance(value, (int, float)) and key not in PLACES
        }
        trained = "lr" in values
        # A validation's step may be an epoch: it comes after the training of before it.
        last = int(content.get("step", last)) if trained else last
        records.append(Record(last, values, trained))
    return records


def series(records: Iterable[Record], name: str, trained: bool) -> tuple[list[float], list[float]]:
    """Iterations, and a value at each; of two at one iteration the later."""
    found = {
        r.iteration: r.values[name] for r in records if r.trained is trained and name in r.values
    }
    return [float(iteration) for iteration in found], list(found.values())


def write_table(path: Path, header: Sequence[object], rows: Iterable[Sequence[object]]) -> None:
    """Write a csv file, UTF-8."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    AtomicLocalBackend().put(text.getvalue().encode(), path)


def write_records(path: Path, records: Sequence[Record]) -> None:
    """Write what was logged as a csv file, a row for each record."""
    names = list(dict.fromkeys(name for record in records for name in record.values))
    rows = [[r.iteration, *(r.values.get(name, "") for name in names)] for r in records]
    write_table(path, ["iteration", *names], rows)
