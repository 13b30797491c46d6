"""Figures of merit, from one matrix of counts."""

from segkit.metrics.confusion import ConfusionMatrix
from segkit.metrics.scores import Scores, compute_scores

__all__ = ["ConfusionMatrix", "Scores", "compute_scores"]
