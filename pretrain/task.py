"""Pre-training without labels, among the tasks."""

from convnextv2.engine.tasks import Task

from .check import UnlabelledPart


class Pretraining(Task):
    """Reconstructions are drawn by tools/analysis_tools/visualize_reconstruction.py."""

    name = "pretraining"
    model = "convnextv2.pretrain.fcmae.FCMAE"
    parts = (UnlabelledPart,)
    preprocessor = "convnextv2.FCMAEDataPreprocessor"


TASK = Pretraining()
