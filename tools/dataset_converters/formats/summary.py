"""What a conversion says at its end: counts, what was left out and why, lines for the config."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .records import Ledger

_NAMED = 3  # places of a reason; the csv has all


def show_counts(classes: Sequence[str], images: Counter[str], counts: dict[str, Counter]) -> None:
    """Print a table: images and objects, or pixels, of each class and part."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("", *counts, title="what was written")
    table.add_row("images", *(f"{images[part]:,}" for part in counts))
    for name in classes:
        table.add_row(escape(name), *(f"{count[name]:,}" for count in counts.values()))
    Console().print(table)


def show_ledger(ledger: Ledger, out: Path) -> None:
    """Print how often what was left out or changed, with the first names; all go into a csv."""
    from convnextv2.files import AtomicLocalBackend

    for reason, places in sorted(ledger.entries.items(), key=lambda item: -len(item[1])):
        more = f" ... and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
        print(f"{len(places)} x {reason}:")
        print(*(f"    {place}" for place in places[:_NAMED]), sep="\n", end=f"{more}\n")
    if ledger.entries:
        path = out / "left_out.csv"
        AtomicLocalBackend().put(ledger.as_csv(), path)
        print(f"all of them: {path.absolute()}")


def show_settings(out: Path, lines: Sequence[str], classes: Sequence[str]) -> None:
    """Print lines for a copy of a template, and write the classes to ``classes.txt``."""
    from convnextv2.files import AtomicLocalBackend

    AtomicLocalBackend().put("".join(f"{name}\n" for name in classes).encode(), out / "classes.txt")
    names = ", ".join(repr(name) for name in classes)
    comma = "," if len(classes) == 1 else ""
    print(f"data_root = {str(out.absolute()) + '/'!r}", *lines, sep="\n")
    print(f"classes = ({names}{comma})")
