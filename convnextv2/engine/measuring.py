"""Mean and std of the training images, measured where the config gives none."""

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from convnextv2.preprocessing import BandNormalization
from convnextv2.registry import HOOKS
from convnextv2.statistics import measure


@HOOKS.register_module()
class MeasureStatisticsHook(Hook):
    """Before training, measure mean and std if neither the config nor a checkpoint has them.

    Of a sample of the training images, always the same, decoded as in training and not augmented.
    The first process reads and tells the others.

    Args:
        max_images: Size of the sample.

    Raises:
        ValueError: They cannot be measured.
    """

    priority = "VERY_HIGH"  # before hooks that show the model an image

    def __init__(self, max_images: int = 200) -> None:
        self.max_images = max_images

    def before_train(self, runner: Runner) -> None:
        """Measure, and log."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        preprocessor = getattr(model, "data_preprocessor", None)
        if not isinstance(preprocessor, BandNormalization) or preprocessor.is_known():
            return
        found: list = [None]
        if is_main_process():
            loader = runner.train_dataloader
            statistics, left_out = measure(loader.dataset, loader.num_workers, self.max_images)
            for line in left_out:
                runner.logger.warning(f"not measured: {line}")
            if mixed := statistics.describe_types():
                runner.logger.warning(mixed)
            found = [(statistics.mean.tolist(), statistics.std.tolist(), statistics.images)]
        broadcast_object_list(found)
        mean, std, images = found[0]
        preprocessor.set_measured(mean, std)
        runner.logger.info(
            f"measured on {images} training images, and kept in the checkpoints: "
            f"mean {_write(mean)}, std {_write(std)}"
        )


def _write(numbers: list[float]) -> str:
    return "[" + ", ".join(f"{number:.6g}" for number in numbers) + "]"
