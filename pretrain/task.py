"""Pre-training without labels, among the tasks."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from convnextv2.engine.tasks import SETTINGS, Task

from .check import UnlabelledPart

if TYPE_CHECKING:
    from convnextv2.engine.template import Template


class Pretraining(Task):
    """Reconstructions are drawn by tools/analysis_tools/visualize_reconstruction.py."""

    name = "pretraining"
    model = "convnextv2.pretrain.fcmae.FCMAE"
    parts = (UnlabelledPart,)
    preprocessor = "convnextv2.FCMAEDataPreprocessor"
    settings = SETTINGS
    places = MappingProxyType({"images": True, "annotations": False})

    def fill_template(self, template: Template) -> None:
        """See `pretrain/template.py`."""
        from .template import fill

        fill(template)


TASK = Pretraining()
