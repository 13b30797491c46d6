"""Checkpoints of other toolkits."""

from segkit.models.interop.sssegmentation.checkpoint import convert_checkpoint

__all__ = ["convert_checkpoint"]
