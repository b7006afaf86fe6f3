"""The check of unlabelled images: whether each can be read."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from convnextv2.data_parts import (
    Part,
    Report,
    explain_missing,
    find_broken_links,
    find_missing_images,
)
from convnextv2.findings import Finding
from convnextv2.image_checks import look_at_image

if TYPE_CHECKING:
    import numpy as np


class FilesPart(Part):
    """A data set whose items are images, in files or shards, with no more than a number each."""

    def open_dataset(self) -> Any:
        """Build the data set and list its images; None, with a finding, if it cannot be built."""
        from mmengine.dataset import BaseDataset

        dataset: Any = self.build(self.load_steps(), lazy_init=False)
        self._dataset = dataset
        if dataset is not None:
            # Not by its own method, which reads images out of shards.
            infos = (BaseDataset.get_data_info(dataset, i) for i in range(len(dataset)))
            self.images = [info["img_path"] for info in dataset.data_list or infos]
            # The data set's own, which knows the type.
            self.load = next(iter(dataset.pipeline.transforms), self.load)
        return dataset

    def look(self, index: int) -> Report:
        """Decode an image as training does."""
        path = self.images[index]
        content = self._dataset.get_data_info(index).get("content")
        if content is None and explain_missing(path):
            return Report([])
        look = look_at_image(path, self.load, content)
        return Report(look.findings, look.thumbnail, digest=look.digest)

    def finish(self) -> None:
        """Name files that are not there, or empty."""
        if not self.entry.get("shards"):
            self.findings += find_missing_images(self.images, self.name)

    def read_image(self, path: str) -> "np.ndarray":
        """One of `images`, (H, W, C)."""
        return self.load(self._dataset.get_data_info(self.places[path]))["img"]

    def draw(self, finding: Finding) -> "np.ndarray | None":
        """The image."""
        from convnextv2.images import as_bgr
        from convnextv2.pictures import to_rgb

        return to_rgb(as_bgr(self.read_image(finding.image), self.load))

    @cached_property
    def places(self) -> dict[str, int]:
        """The number of each image, by its path."""
        return {path: number for number, path in enumerate(self.images)}


class UnlabelledPart(FilesPart):
    """A data set of unlabelled images; no class, no object."""

    dataset = "convnextv2.pretrain.data.folder.UnlabelledImages"
    before_training = False  # images that cannot be read are passed over and named

    def read(self) -> None:
        """List the images, and learn the type of their values."""
        self.open_dataset()
        if not self.entry.get("ann_file") and not self.entry.get("shards"):
            self.findings += find_broken_links(self.entry.get("data_root") or ".")
