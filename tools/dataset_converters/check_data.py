"""Read a config's data as training would and name what is wrong with them, file by file.

Equal findings are put together; findings.json and findings.csv hold each. Ends with counts, and
with pictures: sizes and classes of the objects, and samples, those with doubtful annotations first.
Exit status 1 if something is fatal; training refuses such data.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.engine.cli import add_show_bands, make_config_parser, run, whole
from convnextv2.engine.config import read_config
from convnextv2.engine.outputs import check_folder
from convnextv2.engine.settings import need_entries
from convnextv2.engine.tasks import PredictingTask, find_task

if TYPE_CHECKING:
    from mmengine.config import Config

    from convnextv2.data_parts import Part
    from convnextv2.findings import Finding

MOST_CLASSES = 100  # in the table


def main() -> None:
    """Command line entry."""
    parser = make_config_parser(
        __doc__,
        "python tools/dataset_converters/check_data.py "
        "configs/detection/mask-rcnn_convnextv2_fpn_custom.py --out check",
    )
    parser.add_argument(
        "--out", default="check_data", metavar="DIR", help="folder of pictures and findings"
    )
    parser.add_argument(
        "--max-lines", type=whole(0), default=100, help="print no more lines of findings"
    )
    add_show_bands(parser)
    args = parser.parse_args()
    cfg = read_config(args.config, args.cfg_options)
    need_entries(cfg, args.config, "model", "train_dataloader")
    check_folder(args.out, "--out")

    from rich.progress import track

    from convnextv2.data_checks import check_all
    from convnextv2.findings import write_findings

    parts, findings = check_all(cfg, lambda files, title, total: track(files, title, total))
    out = Path(args.out)
    write_findings(findings, out)
    show_findings(findings, args.max_lines)
    show_counts(parts)
    if any(part.classes for part in parts):
        draw(cfg, parts, findings, out, args.show_bands)
    print(f"all of it: {out.absolute()}")
    raise SystemExit(1 if any(finding.level == "fatal" for finding in findings) else 0)


def show_findings(findings: list["Finding"], most: int) -> None:
    """Print the groups of findings, and how many findings there are of each level."""
    from convnextv2.findings import LEVELS, describe_group, group_findings

    groups = group_findings(findings)
    lines = [
        f"{group[0].level if number == 0 else '':7}  {line}"
        for group in groups
        for number, line in enumerate(describe_group(group))
    ]
    print("\n".join(lines[:most]))
    if len(lines) > most:
        print(f"... and {len(lines) - most} lines more (--max-lines)")
    counts = {level: sum(len(g) for g in groups if g[0].level == level) for level in LEVELS}
    print(f"{counts['fatal']} fatal, {counts['warning']} warnings, {counts['note']} notes")


def show_counts(parts: list["Part"]) -> None:
    """Print a table: images and objects of each part, and how many of each class."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("", *(part.name for part in parts), title="what is there")
    table.add_row("images", *(str(len(part.images)) for part in parts))
    counts = [part.count() for part in parts]
    names = list(dict.fromkeys(name for part in parts for name in part.classes))
    for name in names[:MOST_CLASSES]:
        # As it is: brackets would be read as markup.
        table.add_row(Text(str(name)), *(f"{count.get(name, 0):,}" for count in counts))
    if len(names) > MOST_CLASSES:
        table.add_row(f"and {len(names) - MOST_CLASSES} classes more")
    Console().print(table)


def draw(
    cfg: "Config",
    parts: list["Part"],
    findings: list["Finding"],
    out: Path,
    bands: tuple[int, ...] | None,
) -> None:
    """Write the pictures; one that cannot be drawn is named, and ends nothing."""
    from convnextv2.data_checks import guard
    from convnextv2.data_pictures import draw_histograms, draw_samples

    task = find_task(cfg)
    failed = guard("histograms.png", lambda: draw_histograms(parts, out / "histograms.png"))
    if isinstance(task, PredictingTask):
        path = out / "samples.png"
        failed += guard(path.name, lambda: draw_samples(cfg, task, parts, findings, path, bands))
    for finding in failed:
        print(f"not drawn: {finding}")


if __name__ == "__main__":
    run(main)
