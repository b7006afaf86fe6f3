"""The main job end to end on real images: pre-train, detect, segment; scores and pictures.

Each step is one of the commands that users type, run as they would run it; its log is in
outputs/demo/logs. An interrupted demo goes on where it was when started again.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from convnextv2.engine.cli import make_parser, run
from convnextv2.engine.config import read_config

TOOLS = Path(__file__).parent
CONFIGS = TOOLS.parent / "configs"
DATA = Path("data/demo")
OUT = Path("outputs/demo")
PRETRAIN = CONFIGS / "pretrain/fcmae_convnextv2-atto_demo-trees.py"
# name: config, how its pictures are drawn, and the metrics with their names in the table
TASKS = {
    "trees, Faster R-CNN": (
        CONFIGS / "detection/faster-rcnn_convnextv2-atto_fpn_demo-trees.py",
        ["--score-thr=0.4", "--scale=1"],
        {"coco/bbox_mAP": "box AP", "coco/bbox_mAP_50": "box AP50"},
    ),
    "nuclei, Mask R-CNN": (
        CONFIGS / "detection/mask-rcnn_convnextv2-atto_fpn_demo-nuclei.py",
        ["--score-thr=0.3"],
        {"coco/bbox_mAP": "box AP", "coco/segm_mAP": "mask AP", "coco/segm_mAP_50": "mask AP50"},
    ),
    "nuclei, UperNet": (
        CONFIGS / "segmentation/upernet_convnextv2-atto_demo-nuclei.py",
        [],
        {"mIoU": "mIoU"},
    ),
}
STARTS = ("FCMAE", "scratch")
STEP = re.compile(r"Iter\(train\)\s+\[\s*(\d+)/(\d+)\].*?eta: (\S+)")


@dataclass
class Result:
    """What one step took."""

    seconds: float
    peak_gb: float


def main() -> None:
    """Command line entry."""
    parser = make_parser(__doc__, "python tools/demo.py --fresh")
    parser.add_argument("--fresh", action="store_true", help="forget an interrupted demo")
    args = parser.parse_args()

    console = Console()
    state = OUT / "state.json"
    if args.fresh or not state.exists():
        shutil.rmtree(OUT, ignore_errors=True)
        done = {}
    else:
        done = {name: Result(**value) for name, value in json.loads(state.read_text()).items()}
        console.print(f"going on with the demo of before: {len(done)} steps are done")
    OUT.mkdir(parents=True, exist_ok=True)

    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        for name, command in plan().items():
            if name in done:
                continue
            if not console.is_terminal:
                console.print(f"{name} ...", highlight=False)
            task = progress.add_task(name, total=None, note="")
            done[name] = run_tool(name, command, progress, task)
            progress.update(task, total=1, completed=1, note=f"{done[name].seconds:.0f} s")
            state.write_text(json.dumps({k: asdict(v) for k, v in done.items()}))

    show(console, done)
    state.rename(OUT / "results.json")


def plan() -> dict[str, list[str]]:
    """The steps in order: name, tool and its arguments."""
    train = ["train.py", "--resume=auto"]
    checkpoint = str(OUT / "fcmae" / last_checkpoint(PRETRAIN))
    reconstruct = ["analysis_tools/visualize_reconstruction.py", str(PRETRAIN), checkpoint]
    steps = {
        "data": ["dataset_converters/prepare_demo.py", "--out", str(DATA)],
        "pre-training, FCMAE": [*train, str(PRETRAIN), "--work-dir", str(OUT / "fcmae")],
        "reconstructions": [
            *reconstruct,
            str(DATA / "trees/val"),
            *("--out", str(OUT / "reconstructions.png")),
        ],
    }
    for task, (config, drawn, _) in TASKS.items():
        fcmae, scratch = (["--work-dir", work_dir(task, start)] for start in STARTS)
        no_weights = ["--cfg-options", "model.backbone.init_cfg=None"]
        steps[f"{task}, FCMAE"] = [*train, str(config), *fcmae]
        steps[f"{task}, scratch"] = [*train, str(config), *scratch, *no_weights]
        steps[f"{task}, pictures"] = [
            "analysis_tools/visualize_predictions.py",
            str(config),
            f"{fcmae[1]}/{last_checkpoint(config)}",
            *drawn,
            *("--out", str(OUT / f"{task.replace(', ', '_').replace(' ', '-').lower()}.png")),
        ]
    return steps | {"trees, by tiles": look_by_tiles()}


def look_by_tiles() -> list[str]:
    """Find the trees of a whole photograph, as large as a dozen of those trained on."""
    task = next(iter(TASKS))
    config = TASKS[task][0]
    checkpoint = f"{work_dir(task, STARTS[0])}/{last_checkpoint(config)}"
    scene, out = DATA / "trees/scene", OUT / "trees_by-tiles"
    tiles = ["--tile=400", "--overlap=100", "--score-thr=0.4"]
    return ["infer.py", str(config), checkpoint, str(scene), "--out", str(out), *tiles]


def last_checkpoint(config: Path) -> str:
    """Name of what a run of a config ends with."""
    return f"iter_{read_config(str(config)).train_cfg.max_iters}.pth"


def work_dir(task: str, start: str) -> str:
    """Where a fine-tuning run keeps its checkpoints and logs."""
    return str(OUT / "runs" / f"{TASKS[task][0].stem}_{start.lower()}")


def run_tool(name: str, command: list[str], progress: Progress, task: TaskID) -> Result:
    """Run one tool, show how far it is, and return what it took.

    Raises:
        SystemExit: The tool failed; the end of its log is shown.
    """
    log = OUT / "logs" / f"{re.sub('[^a-z]+', '-', name.lower())}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, str(TOOLS / command[0]), *command[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    with open(log, "w") as file:
        for line in process.stdout or ():
            file.write(line)
            if match := STEP.search(line):
                now, total, left = match.groups()
                progress.update(task, completed=int(now), total=int(total), note=f"{left} left")
    # Unlike Popen.wait, wait4 tells the peak memory of this very child.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = "".join(log.read_text().splitlines(keepends=True)[-15:])
        raise SystemExit(f"{name} failed; the end of {log}:\n{tail}")
    return Result(time.monotonic() - start, usage.ru_maxrss / 2**20)


def scores(folder: str, names: dict[str, str]) -> dict[str, float]:
    """The last validation scores in the logs of a work dir, under their names for the table."""
    found: dict[str, float] = {}
    for file in sorted(Path(folder).glob("*/vis_data/scalars.json")):
        for line in file.read_text().splitlines():
            entry = json.loads(line)
            found |= {names[key]: value for key, value in entry.items() if key in names}
    return found


def show(console: Console, done: dict[str, Result]) -> None:
    """Print the table of scores and where the pictures are."""
    table = Table("", "", "from FCMAE", "scratch", "seconds", "peak memory", title="The demo")
    step = done["pre-training, FCMAE"]
    table.add_row("pre-training", "", "", "", f"{step.seconds:.0f}", f"{step.peak_gb:.1f} GB")
    for task, (_, _, names) in TASKS.items():
        table.add_section()
        runs = [done[f"{task}, {start}"] for start in STARTS]
        found = [scores(work_dir(task, start), names) for start in STARTS]
        shown = task
        seconds = " / ".join(f"{r.seconds:.0f}" for r in runs)
        memory = f"{max(r.peak_gb for r in runs):.1f} GB"
        for name in names.values():
            scale = 1 if name == "mIoU" else 100  # mmseg gives per cent already
            values = [f"{scale * f[name]:.1f}" for f in found]
            table.add_row(shown, name, *values, seconds, memory)
            shown = seconds = memory = ""
    console.print(table)
    console.print("Small data, minutes of training: a proof that the whole way works.")
    console.print(f"Pictures, ground truth beside prediction, are in {OUT}:")
    for picture in sorted(OUT.rglob("*.png")):
        if "runs" not in picture.parts:
            console.print(f"  {picture}", highlight=False)


if __name__ == "__main__":
    run(main)
