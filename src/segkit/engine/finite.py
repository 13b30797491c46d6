"""Losses, gradients and weights that are not finite: told with the remedy, and kept out of the checkpoints."""

import math
from collections.abc import Callable
from typing import Literal

from torch import nn
from torch.nn.utils import get_total_norm

from segkit import dist
from segkit.engine.watch import Report
from segkit.errors import TrainingError, some_of

_SHOWN = 8
_REMEDY = "lower scheduler.optimizer.lr, set trainer.clip_grad_norm, or use bfloat16 in place of float16"


class FiniteGuard:
    """Ends a training whose numbers have left the finite ones, or tells the steps that were left out.

    Args:
        policy: as ``trainer.non_finite``.
        scales: whether float16's scaler leaves out steps with infinite gradients by itself.
        say: tells the person who watches.
        last_good: tells what the training can go on from.
    """

    def __init__(
        self,
        policy: Literal["stop", "skip"],
        *,
        scales: bool,
        say: Callable[[str], None],
        last_good: Callable[[], str],
    ) -> None:
        self.policy = policy
        self.scales = scales
        self._say = say
        self._last_good = last_good

    def passes(self, report: Report) -> bool:
        """Whether the loss of a step is finite; every process must ask.

        Raises:
            TrainingError: loss or gradient is not finite, and the policy is to stop.
        """
        if report.bad_names is not None:
            names = [name for names in dist.gather_objects(list(report.bad_names)) for name in names]
            terms = ", ".join(f"{name} {value:g}" for name, value in report.terms.items() if not math.isfinite(value))
            samples = some_of(names, _SHOWN)
            self._refuse(f"step {report.step}: the loss is not finite ({terms}); samples: {samples}")
            return False
        if report.grad_norm is not None and not math.isfinite(report.grad_norm) and not self.scales:
            self._refuse(f"step {report.step}: the loss is finite ({report.loss:g}), but its gradient is not")
        return True

    def _refuse(self, text: str) -> None:
        if self.policy == "stop":
            raise self._error(text)
        self._say(f"{text}; the step is left out")

    def require_weights(self, model: nn.Module, step: int) -> None:
        """Keeps the last good checkpoint good: a gradient can be infinite where the loss is not.

        Raises:
            TrainingError: a weight is not finite.
        """
        weights = [p.detach() for p in model.parameters()]
        if not math.isfinite(get_total_norm(weights, norm_type=math.inf).item()):
            bad = [name for name, p in model.named_parameters() if not p.isfinite().all()]
            raise self._error(f"step {step}: weights are not finite: {', '.join(bad[:3])} ({len(bad)} in all)")

    def _error(self, text: str) -> TrainingError:
        return TrainingError(f"{text}; {_REMEDY}; {self._last_good()}")
