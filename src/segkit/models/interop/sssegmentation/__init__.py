"""Models of SSSegmentation: their settings to our configs, their parameter names to ours."""

from segkit.models.interop.sssegmentation.facts import config_from_facts, output_of
from segkit.models.interop.sssegmentation.state import convert_state

__all__ = ["config_from_facts", "convert_state", "output_of"]
