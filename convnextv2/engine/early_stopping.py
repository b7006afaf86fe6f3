"""The end of a training that no longer gets better."""

from math import inf

from mmengine.hooks import Hook
from mmengine.runner import Runner

from convnextv2.registry import HOOKS

from .tasks import find_score


@HOOKS.register_module()
class EarlyStoppingHook(Hook):
    """Stop when so many validations in a row brought nothing better; a resumed run counts on.

    Args:
        patience: Validations; None: train to the end.
        monitor: Name of a metric, or ``auto``: the one by which the task ranks checkpoints.
        rule: Whether ``greater`` or ``less`` is better; None: less for what is called a loss.
        min_delta: A gain of no more than this is none.
    """

    priority = "LOWEST"  # after the checkpoint of the validation is written

    def __init__(
        self,
        patience: int | None = 10,
        monitor: str = "auto",
        rule: str | None = None,
        min_delta: float = 0.0,
    ) -> None:
        if rule not in (None, "greater", "less"):
            raise ValueError(f"rule must be greater or less, not {rule!r}")
        self.patience, self.monitor, self.rule, self.min_delta = patience, monitor, rule, min_delta

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Count, and stop.

        Raises:
            ValueError: `monitor` is none of the metrics.
        """
        if self.patience is None or not metrics:
            return
        name = find_score(runner.cfg, metrics) if self.monitor == "auto" else self.monitor
        if name not in metrics:
            raise ValueError(f"monitor {self.monitor}: not among {', '.join(metrics)}")
        rule = self.rule or ("less" if "loss" in name else "greater")
        score = metrics[name] if rule == "greater" else -metrics[name]
        info = runner.message_hub.runtime_info
        best, waited = info.get("stopping_best", -inf), info.get("stopping_waited", 0)
        better = score > best + self.min_delta  # never where the score is no number
        waited = 0 if better else waited + 1
        runner.message_hub.update_info_dict(
            {"stopping_best": float(score) if better else best, "stopping_waited": waited}
        )
        if waited >= self.patience:
            runner.train_loop.stop_training = True
            runner.logger.info(
                f"early stop: {name} has not been better in {waited} validations; the best was "
                f"{abs(best):.4g}"
            )
