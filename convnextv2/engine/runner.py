"""The runner of every task."""

import pickle

from mmengine.optim import OptimWrapper
from mmengine.runner import BaseLoop, Runner

from .samples import SeededSamplesMixin


class StrictRunner(SeededSamplesMixin, Runner):
    """mmengine's `Runner` that runs no code from a checkpoint and leaves no weight unfilled.

    A checkpoint to resume from or to test must fit the whole model. One to start a training from
    (``load_from``) may fill a part, as everywhere in MM; the log names the rest. Where the
    learning rate follows the batch (``auto_scale_lr``), the log says from what to what.
    """

    def load_checkpoint(
        self, filename: str, map_location: object = "cpu", strict: bool = False, **kwargs: object
    ) -> dict:
        """Load the model's weights and return the whole checkpoint.

        Raises:
            ValueError: The file holds objects other than tensors and plain data.
            RuntimeError: It does not fit the model, and is to be resumed or tested.
        """
        starts_training = isinstance(self._train_loop, BaseLoop) and not self._resume
        try:
            checkpoint = super().load_checkpoint(
                filename, map_location, strict or not starts_training, **kwargs
            )
        except pickle.UnpicklingError as error:
            raise ValueError(
                f"{filename} was refused: it is no weight file, or holds objects that would run "
                f"code when loaded. {error}"
            ) from error
        # mmengine would execute this entry, which only its oldest releases wrote.
        checkpoint.get("meta", {}).pop("config", None)
        return checkpoint

    def scale_lr(self, optim_wrapper: OptimWrapper, auto_scale_lr: dict | None = None) -> None:
        """Scale the learning rates by batch / base batch, `base_lr` of the log included."""
        rates = [group["lr"] for group in optim_wrapper.optimizer.param_groups]
        super().scale_lr(optim_wrapper, auto_scale_lr)
        ratio = optim_wrapper.optimizer.param_groups[0]["lr"] / rates[0]
        settings = optim_wrapper.base_param_settings or {"lr": max(rates)}
        rate, settings["lr"] = settings["lr"], settings["lr"] * ratio
        if auto_scale_lr and auto_scale_lr.get("enable"):
            self.logger.info(f"learning rate {rate:g} -> {settings['lr']:g} for this batch")

    def resume(self, filename: str, *args: object, **kwargs: object) -> None:
        """Resume, and warn if the checkpoint's learning rate is that of another batch."""
        expected = [group.get("initial_lr") for group in self.optim_wrapper.param_groups]
        super().resume(filename, *args, **kwargs)
        resumed = [group.get("initial_lr") for group in self.optim_wrapper.param_groups]
        if resumed != expected:
            self.logger.warning(
                f"{filename} was trained with the learning rate {resumed[-1]}, which it keeps; the "
                f"config and this number of processes and images would give {expected[-1]}"
            )
