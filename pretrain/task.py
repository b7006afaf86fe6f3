"""Pre-training without labels, among the tasks."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from convnextv2.engine.tasks import EXPORT, SETTINGS, Task

from .check import UnlabelledPart

if TYPE_CHECKING:
    from mmengine.config import Config

    from convnextv2.engine.template import Template

    from .export import ExportableEncoder


class Pretraining(Task):
    """Reconstructions are drawn by tools/analysis_tools/visualize_reconstruction.py."""

    name = "pretraining"
    model = "convnextv2.pretrain.fcmae.FCMAE"
    parts = (UnlabelledPart,)
    preprocessor = "convnextv2.FCMAEDataPreprocessor"
    settings = SETTINGS
    places = MappingProxyType({"images": True, "annotations": False})
    scores = ("fcmae/loss",)

    def fill_template(self, template: Template) -> None:
        """See `pretrain/template.py`."""
        from .template import fill

        fill(template)

    def make_exportable(self, cfg: Config, checkpoint: str) -> ExportableEncoder:
        """The encoder, which gives features."""
        from .export import ExportableEncoder

        return ExportableEncoder(cfg, checkpoint)

    def list_next(self, config: str, checkpoint: str, folder: str) -> dict[str, list[str]]:
        """Look at reconstructions, fine-tune, and hand on the backbone."""
        run = [config, checkpoint]
        draw = "analysis_tools/visualize_reconstruction.py"
        weights = f"model.backbone.init_cfg.checkpoint={checkpoint}"
        return {
            "look": [draw, *run, "FOLDER_OF_IMAGES", "--out", f"{folder}/reconstructions.png"],
            "fine-tune": ["train.py", "CONFIG_OF_A_TASK", "--cfg-options", weights],
            "export": [EXPORT, *run, f"{folder}/backbone.safetensors"],
        }


TASK = Pretraining()
