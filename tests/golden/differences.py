"""How far numbers are from the reference's."""

from typing import Any, NamedTuple

import numpy as np


class Difference(NamedTuple):
    """One comparison.

    Attributes:
        name: what was compared.
        relative: the largest absolute difference over the reference's largest absolute value; infinite where shapes
            differ or a number is not finite.
    """

    name: str
    relative: float


def compare(name: str, ours: Any, theirs: Any) -> Difference:
    """Compares arrays or numbers, in float64."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if ours.shape != theirs.shape or not np.isfinite(ours).all():
        return Difference(name, float("inf"))
    scale = float(np.abs(theirs).max())
    return Difference(name, float(np.abs(ours - theirs).max()) / (scale or 1.0))


def compare_stored(name: str, ours: Any, case: dict[str, Any], arrays: dict[str, Any]) -> Difference:
    """Compares an output, a tensor or None if there is none, with what a case stores of it.

    Large arrays are stored with a stride along each axis; of the full one the case keeps the shape and the sum of
    absolute values, which is compared too.
    """
    facts = case["outputs"][name]
    if ours is None or list(ours.shape) != facts["shape"]:
        return Difference(name, float("inf"))
    ours = ours.double().numpy()
    if name not in arrays:
        return compare(name, ours, facts["value"])
    stored = compare(name, ours[tuple(slice(None, None, step) for step in facts.get("stride", ()))], arrays[name])
    whole = compare(name, np.abs(ours).sum(), facts["sum_abs"]) if "sum_abs" in facts else stored
    return max(stored, whole, key=lambda difference: difference.relative)
