"""The check of unlabelled images: whether each can be read."""

from collections.abc import Iterator

from convnextv2.data_parts import Finding, Part


class UnlabelledPart(Part):
    """A data set of unlabelled images; no class, no object."""

    dataset = "convnextv2.pretrain.data.folder.UnlabelledImages"
    before_training = False  # images that cannot be read are passed over and named

    def read(self) -> None:
        """List the images."""
        self._dataset = self.build(self.load_steps(), lazy_init=False)
        if self._dataset is not None:
            infos = map(self._dataset.get_data_info, range(len(self._dataset)))
            self.images = [info["img_path"] for info in infos]

    def check_files(self) -> Iterator[list[Finding]]:
        """Decode each image as training does."""
        if self._dataset is None:
            return
        # The data set's own, which has learned the type of the values.
        load = next(iter(self._dataset.pipeline.transforms), None) or self.build_loader()
        for index in range(len(self._dataset)):
            try:
                load(self._dataset.get_data_info(index))
                yield []
            except ValueError as error:
                yield [("fatal", str(error))]
