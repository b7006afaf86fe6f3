"""How good the features are while FCMAE trains, by a small folder of labelled images."""

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from convnextv2.engine.fsdp import whole_parameters
from convnextv2.images import LoadImage
from convnextv2.pretrain.frozen import FrozenBackbone, list_unreadable, pool_files
from convnextv2.pretrain.probing import NEIGHBOURS, TEMPERATURE, knn_leave_one_out
from convnextv2.pretrain.supervised.folder import LabelledImages
from convnextv2.registry import HOOKS


@HOOKS.register_module()
class KNNHook(Hook):
    """Write the k-NN's top-1 on each stage's features: ``knn/stageN``, from 0 to 1.

    Each image of the folder asks all others of it, see `probing.knn_leave_one_out`. Nothing is
    learned from its labels. The first figures are those before training.

    Args:
        data_root: Folder of folders, one for each class; some hundred images are enough.
        interval: Iterations from one time to the next; the last iteration counts too.
        size: Of the square that is looked at, see `FrozenBackbone`.
        batch_size: Images at once.
        k: Neighbours.
        temperature: Of their votes.
        dtype: What the images become, see `LoadImage`.

    Raises:
        FileNotFoundError: There is no such folder, or no images in it.
        ValueError: An option outside its range, or one class only.
    """

    priority = "LOW"

    def __init__(
        self,
        data_root: str,
        interval: int = 1000,
        size: int = 224,
        batch_size: int = 64,
        k: int = NEIGHBOURS,
        temperature: float = TEMPERATURE,
        dtype: str | None = None,
    ) -> None:
        if min(interval, size, batch_size, k) < 1 or temperature <= 0:
            raise ValueError(
                "interval, size, batch_size and k must be at least 1, and temperature above 0"
            )
        self.interval = interval
        self.size = size
        self.batch_size = batch_size
        self.k = k
        self.temperature = temperature
        self.dtype = dtype
        self.dataset = LabelledImages(data_root)
        if len(self.dataset.metainfo["classes"]) < 2:
            raise ValueError(f"{data_root} has one class, of which nothing can be told apart")
        infos = [self.dataset.get_data_info(i) for i in range(len(self.dataset))]
        self.paths = [info["img_path"] for info in infos]
        self.labels = [int(info["gt_label"]) for info in infos]

    def before_train(self, runner: Runner) -> None:
        """Measure what there is without training."""
        if runner.iter == 0:
            self._measure(runner, 0)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: object = None
    ) -> None:
        """Measure, in the first process."""
        last = runner.iter + 1 == runner.max_iters
        if last or self.every_n_train_iters(runner, self.interval):
            self._measure(runner, runner.iter + 1)

    def _measure(self, runner: Runner, step: int) -> None:
        with whole_parameters(runner.model):  # of which all processes take part
            if is_main_process():
                self._show(runner, step)

    def _show(self, runner: Runner, step: int) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.eval()
        load = LoadImage(model.backbone.in_channels, dtype=self.dtype)
        network = FrozenBackbone(model.backbone, model.data_preprocessor, load, self.size)
        unreadable: list[str] = []
        places, stages = pool_files(network, self.paths, self.batch_size, unreadable=unreadable)
        model.train()
        labels = torch.tensor([self.labels[place] for place in places])
        found = [knn_leave_one_out(x, labels, self.k, self.temperature) for x in stages]
        scalars = {f"knn/stage{i}": value for i, value in enumerate(found, 1)}
        runner.visualizer.add_scalars(scalars, step)
        text = " ".join(f"{value:.1%}" for value in found)
        runner.logger.info(f"k-NN top-1 on the stages, {len(labels)} images: {text}")
        if unreadable and step == 0:
            runner.logger.warning(list_unreadable(unreadable, len(self.paths)))
