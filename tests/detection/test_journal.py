"""What was found is on the disk: a killed run leaves all but the line that it was writing."""

import numpy as np

from convnextv2.detection.journal import Journal
from convnextv2.runtime.box_masks import BoxMask
from convnextv2.runtime.join import Piece

MASK = BoxMask.of(np.ones((2, 3), bool), 5, 6)
PIECES = {
    3: [Piece(3, (5.0, 6.0, 8.0, 8.5), 0.25, 1, MASK)],
    0: [],
    7: [Piece(7, (0.0, 0.0, 1.0, 1.0), 1.0, 0)],
}


def write(path, stamp):
    with Journal(path, stamp) as journal:
        for tile, pieces in PIECES.items():
            journal.add(tile, pieces)


def test_pieces_come_back_as_they_were(tmp_path):
    write(tmp_path / "deep/a.jsonl", {"tile": 64})
    with Journal(tmp_path / "deep/a.jsonl", {"tile": 64}) as journal:
        assert journal.done == PIECES


def test_a_line_that_was_cut_off_is_written_anew(tmp_path):
    path = tmp_path / "a.jsonl"
    write(path, {})
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with Journal(path, {}) as journal:
        assert list(journal.done) == [3, 0]
        journal.add(7, PIECES[7])
    assert path.read_bytes() == whole


def test_a_run_of_another_stamp_is_not_gone_on_with(tmp_path):
    path = tmp_path / "a.jsonl"
    write(path, {"checkpoint": 1})
    with Journal(path, {"checkpoint": 2}) as journal:
        assert not journal.done
    with Journal(path, {"checkpoint": 1}) as journal:
        assert not journal.done
