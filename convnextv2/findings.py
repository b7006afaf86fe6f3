"""What the data checks find: how it is said, put together and kept."""

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from convnextv2.files import AtomicLocalBackend, printable

# ``fatal``: training would crash or learn something wrong without a word, or scores would be wrong.
# ``warning``: it works, but hardly as it was meant. ``note``: what one might want to know.
LEVELS = ("fatal", "warning", "note")
SHOWN = 3  # of each group; the files hold all


class Finding(NamedTuple):
    """A fault of the data, or what there is to know of them.

    Attributes:
        level: One of `LEVELS`.
        kind: What it is, of several, as it is read after their number. Findings that agree in
            level and kind are one group, and nothing else decides that.
        text: About this one.
        file: Where it is to be mended, if that is a file.
        image: The image whose annotation is in doubt.
        box: The doubtful one in it: x, y, width, height.
    """

    level: str
    kind: str
    text: str
    file: str = ""
    image: str = ""
    box: tuple = ()

    def __str__(self) -> str:
        return printable(f"{self.file}: {self.text}" if self.file else self.text)


def group_findings(findings: Iterable[Finding]) -> list[list[Finding]]:
    """Those of one level and kind together; the worst first, each finding once."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in dict.fromkeys(findings):
        groups.setdefault((finding.level, finding.kind), []).append(finding)
    return sorted(groups.values(), key=lambda group: LEVELS.index(group[0].level))


def describe_group(group: list[Finding], shown: int = SHOWN) -> list[str]:
    """Lines about a group: the finding itself, or their number, kind and the first of them."""
    if len(group) == 1:
        return [str(group[0])]
    lines = [f"{len(group)} {printable(group[0].kind)}"]
    lines += [f"  {finding}" for finding in group[:shown]]
    if len(group) > shown:
        lines.append(f"  and {len(group) - shown} more")
    return lines


def write_findings(findings: Iterable[Finding], folder: str | Path) -> None:
    """Write all of them into a folder, as ``findings.json`` and ``findings.csv``."""
    rows = [
        {
            "level": finding.level,
            "kind": finding.kind,
            "text": finding.text,
            "file": finding.file,
            "image": finding.image,
        }
        for group in group_findings(findings)
        for finding in group
    ]
    rows = [{key: printable(value) for key, value in row.items()} for row in rows]
    table = io.StringIO()
    writer = csv.DictWriter(table, ["level", "kind", "text", "file", "image"])
    writer.writeheader()
    writer.writerows(rows)
    text = json.dumps(rows, indent=1, ensure_ascii=False)
    for name, content in {"findings.json": text, "findings.csv": table.getvalue()}.items():
        AtomicLocalBackend().put(content.encode(), Path(folder, name))
