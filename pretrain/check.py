"""The check of unlabelled images: whether each can be read."""

from typing import TYPE_CHECKING, Any

from convnextv2.data_parts import Part, Report, find_broken_links
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
