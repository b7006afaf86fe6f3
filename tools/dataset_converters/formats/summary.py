"""What a conversion says at its end: counts, what was left out and why, a config."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .records import Ledger
from .splits import PARTS

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


def write_config(out: Path, template: str, places: dict[str, str], classes: Sequence[str]) -> None:
    """Write ``config.py``, a child of a template, print it, and say what comes next.

    Args:
        out: The folder of what was converted; gets the classes as ``classes.txt`` too.
        template: Name of the config below ``convnextv2::``.
        places: The settings of each part that there is, as Python.
        classes: Their names.
    """
    from convnextv2.files import AtomicLocalBackend

    names = ", ".join(map(repr, classes)) + ("," if len(classes) == 1 else "")
    lines = [
        f"_base_ = 'convnextv2::{template}'",
        f"data_root = {str(out.absolute())!r}",
        *(f"{part} = {places.get(part)}" for part in PARTS),
        f"classes = ({names})",
    ]
    text = "".join(f"{line}\n" for line in lines)
    AtomicLocalBackend().put("".join(f"{name}\n" for name in classes).encode(), out / "classes.txt")
    AtomicLocalBackend().put(text.encode(), out / "config.py")
    print(f"\n{text}\nThis is {out / 'config.py'}, a child of the template; then:")
    print(f"python tools/dataset_converters/check_data.py {out / 'config.py'}")
    print(f"python tools/train.py {out / 'config.py'}")
