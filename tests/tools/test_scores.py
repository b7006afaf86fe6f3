"""Short runs reach the scores that they reached when they were measured, far above chance."""

import json
import os

import cv2
import numpy as np
import pytest
from conftest import write_split
from processes import config, run, train
from test_test import metrics_of

OPTS = [f"randomness.seed={os.environ['XSEED']}"] if "XSEED" in os.environ else []
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scored(cwd):
    """The folder of the tests with more images: 32 to learn from, 16 of the same kind unseen."""
    rng = np.random.default_rng(1)
    for split, count in {"many": 32, "unseen": 16}.items():
        write_split(cwd / "shapes", split, count, rng)
        folder = cwd / "shades" / split
        folder.mkdir(parents=True)
        for i in range(count):
            # One slope over the whole image, which any part of it gives away.
            corners = rng.uniform(0, 1, 3) @ np.array([[1, 1, 0, 0], [0, 1, 0, 1], [1, 0, 1, 0]])
            image = cv2.resize(corners.reshape(2, 2) * 120, (160, 160)).round().astype(np.uint8)
            cv2.imwrite(str(folder / f"{i}.png"), cv2.merge([image] * 3))
    return cwd


def test_score_of_upernet(scored):
    work_dir = train(scored, "upernet-score", "work_dirs/score-upernet", options=OPTS)
    (path,) = work_dir.glob("*/vis_data/scalars.json")
    scores = json.loads(path.read_text().splitlines()[-1])
    print("UPER", OPTS, scores)
    # Measured; "none" everywhere, the largest class, would give less than 33.
    assert scores["mIoU"] == pytest.approx(61.6, abs=8)


def test_score_of_fcmae(scored):
    work_dir = train(scored, "fcmae-score", "work_dirs/score-fcmae", options=OPTS)
    args = config("fcmae-score"), work_dir / "iter_200.pth", "--work-dir", "work_dirs/score-loss"
    status, output = run(scored, "test.py", *args)
    assert status == 0, output
    print("FCMAE", OPTS, metrics_of(scored / "work_dirs/score-loss"))
    # Measured; who knows but the mean of a patch has a loss of 1.
    assert metrics_of(scored / "work_dirs/score-loss")["fcmae/loss"] == pytest.approx(
        0.277, abs=0.07
    )
