"""The numbers of a run are read in order, across stops, and what was trained anew comes once."""

import csv
import json

import pytest

from convnextv2.scalars import read_scalars, series, write_records


@pytest.fixture
def log(tmp_path):
    """A function that writes what a start of a run logged."""

    def write(name, *lines, cut=""):
        path = tmp_path / name / "vis_data/scalars.json"
        path.parent.mkdir(parents=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines) + cut)

    return write


def trained(step, loss):
    return {"lr": 0.1, "loss": loss, "epoch": 1, "iter": step, "step": step}


def test_a_resumed_run_takes_the_place_of_what_was_lost(tmp_path, log):
    """Stopped at 30 with a checkpoint of 20: 30 is trained twice, the validation at 20 once."""
    log("20250101_1", trained(10, 3), trained(20, 2), {"mIoU": 40, "step": 1}, trained(30, 1.9))
    log("20250102_1", trained(30, 1.5), trained(40, 1), {"mIoU": 50, "step": 2}, cut='{"lr": 0.')
    records = read_scalars(tmp_path)
    assert series(records, "loss", True) == ([10, 20, 30, 40], [3, 2, 1.5, 1])
    assert series(records, "mIoU", False) == ([20, 40], [40, 50])  # steps 1 and 2 are epochs


def test_a_training_begun_anew_leaves_nothing_of_the_one_before(tmp_path, log):
    log("20250101_1", trained(10, 3), trained(20, 2))
    log("20250102_1", trained(10, 9))
    log("20250103_1", {"mIoU": 1, "step": 0})  # a test
    assert series(read_scalars(tmp_path), "loss", True) == ([10], [9])


def test_the_table_has_a_column_for_each_name(tmp_path, log):
    log("20250101_1", trained(10, 3), {"mIoU": 40, "step": 1})
    write_records(tmp_path / "a.csv", read_scalars(tmp_path))
    rows = list(csv.reader((tmp_path / "a.csv").read_text().splitlines()))
    assert rows == [
        ["iteration", "lr", "loss", "mIoU"],
        ["10", "0.1", "3", ""],
        ["10", "", "", "40"],
    ]
