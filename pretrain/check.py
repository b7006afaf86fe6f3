"""The check of unlabelled images: whether each can be read."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from convnextv2.data_parts import Part, Report, explain_missing
from convnextv2.files import IMAGE_SUFFIXES
from convnextv2.findings import Finding
from convnextv2.image_checks import look_at_image

if TYPE_CHECKING:
    import numpy as np


class UnlabelledPart(Part):
    """A data set of unlabelled images; no class, no object."""

    dataset = "convnextv2.pretrain.data.folder.UnlabelledImages"
    before_training = False  # images that cannot be read are passed over and named

    def read(self) -> None:
        """List the images, and learn the type of their values."""
        dataset: Any = self.build(self.load_steps(), lazy_init=False)
        if dataset is not None:
            infos = map(dataset.get_data_info, range(len(dataset)))
            self.images = [info["img_path"] for info in infos]
            # The data set's own, which knows the type.
            self.load = next(iter(dataset.pipeline.transforms), self.load)

        if not self.entry.get("ann_file"):
            self.findings += find_broken_links(self.entry.get("data_root") or ".")

    def look(self, index: int) -> Report:
        """Decode an image as training does."""
        look = look_at_image(self.images[index], self.load)
        return Report(look.findings, look.thumbnail)

    def draw(self, finding: Finding) -> "np.ndarray | None":
        """The image."""
        from convnextv2.pictures import to_rgb

        return to_rgb(self.load({"img_path": finding.image})["img"])


def find_broken_links(root: str) -> Iterator[Finding]:
    """Names of images below a folder that lead nowhere, and are passed over."""
    for folder, _, names in os.walk(root, followlinks=False):
        for name in sorted(names):
            path = os.path.join(folder, name)
            linked = name.lower().endswith(IMAGE_SUFFIXES) and os.path.islink(path)
            if linked and (why := explain_missing(path)):
                yield Finding("warning", "links that lead to no image", f"{path} {why}")
