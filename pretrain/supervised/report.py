"""What a report shows of a classifier's validation."""

from __future__ import annotations

import numpy as np
import torch

from convnextv2.reviews import Review, ReviewedImage

from .samples import ClassSample


class ClassificationReview(Review):
    """Which class was taken for which. An image's score is the certainty of its own class."""

    def look(self, sample: dict) -> ReviewedImage:
        """Compare the class that was found with the true one."""
        truth, found = int(sample["gt_label"]), int(sample["pred_label"])
        scores = sample["pred_scores"].cpu().numpy()
        text = f"{self.classes[truth]!r}, taken for {self.classes[found]!r} ({scores[found]:.2f})"
        score = 1.0 if found == truth else float(scores[truth])
        pairs = {"images": np.array([[truth, found, 1]])}
        return ReviewedImage(sample["img_path"], score, text, pairs, (truth, scores))

    def restore(self, kept: tuple[int, np.ndarray]) -> ClassSample:
        """The true class and the scores of all."""
        truth, scores = kept
        sample = ClassSample(gt_label=torch.tensor([truth]))
        sample.pred_scores = torch.from_numpy(scores)
        sample.pred_label = sample.pred_scores.argmax(keepdim=True)
        return sample
