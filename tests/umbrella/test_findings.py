"""Findings are grouped by one rule, said in few lines, and all kept in files."""

import csv
import json
import os

from convnextv2.findings import Finding, describe_group, group_findings, write_findings


def several(number, **changes):
    finding = Finding("warning", "boxes of no area", "is empty")
    return [finding._replace(file=f"{i}.json", **changes) for i in range(number)]


def test_level_and_kind_make_a_group_and_the_worst_comes_first():
    others = several(2, level="fatal", text="is another")
    groups = group_findings([*several(5), *others, *several(5), *several(1, kind="x")])
    assert [len(group) for group in groups] == [2, 5, 1]
    assert groups[0] == others


def test_a_group_is_its_number_its_kind_and_the_first():
    assert describe_group(several(1)) == ["0.json: is empty"]
    assert describe_group(several(5)) == [
        "5 boxes of no area",
        "  0.json: is empty",
        "  1.json: is empty",
        "  2.json: is empty",
        "  and 2 more",
    ]


def test_the_files_hold_all_with_names_that_are_no_utf8(tmp_path):
    odd = os.fsdecode(b"\xe9.png")
    write_findings(several(5, image=odd), tmp_path / "new")
    rows = json.loads((tmp_path / "new/findings.json").read_text())
    assert len(rows) == 5
    assert rows[4] == {
        "level": "warning",
        "kind": "boxes of no area",
        "text": "is empty",
        "file": "4.json",
        "image": "\\xe9.png",
    }
    with open(tmp_path / "new/findings.csv", newline="") as file:
        assert list(csv.DictReader(file)) == rows
