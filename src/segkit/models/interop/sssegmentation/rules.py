"""Renaming by rules: which of their modules is which of ours."""

import re
from collections.abc import Iterable, Mapping

Rules = dict[str, str]
"""Their module's path -> ours; each ``#`` stands for a number, the same one on both sides. Or a tensor's whole name."""

DROPPED = "dropped:"
"""Our side of a rule whose tensors have no counterpart here."""


def conv_norm_act(theirs: str, ours: str, first: int = 0) -> Rules:
    """Three neighbours of one of their Sequentials, from position ``first`` on, as a ConvNormAct."""
    parts = ("conv", "norm", "act")
    return {f"{theirs}.{first + i}": f"{ours}.{part}" for i, part in enumerate(parts)}


def separable(theirs: str, ours: str) -> Rules:
    """Their depthwise separable convolution."""
    return {
        f"{theirs}.{part}_{child}": f"{ours}.{part}.{name}"
        for part in ("depthwise", "pointwise")
        for child, name in (("conv", "conv"), ("bn", "norm"), ("activate", "act"))
    }


def pyramid_pooling(theirs: str, ours: str, fuse: str) -> Rules:
    """Their pyramid pooling, which ends in a fusing convolution; ours is called ``fuse``."""
    return conv_norm_act(f"{theirs}.branches.#", f"{ours}.stages.#", 1) | conv_norm_act(f"{theirs}.bottleneck", fuse)


def aspp(theirs: str, ours: str, fuse: str) -> Rules:
    """Their atrous spatial pyramid pooling, plain or separable, likewise."""
    return (
        conv_norm_act(f"{theirs}.parallel_branches.#", f"{ours}.branches.#")
        | separable(f"{theirs}.parallel_branches.#", f"{ours}.branches.#")
        | conv_norm_act(f"{theirs}.global_branch", f"{ours}.pooled", 1)
        | conv_norm_act(f"{theirs}.bottleneck", fuse)
    )


def prefixed(rules: Mapping[str, str], theirs: str, ours: str) -> Rules:
    """The same rules below a module on either side."""
    return {f"{theirs}{a}": b if b == DROPPED else f"{ours}{b}" for a, b in rules.items()}


def rename(names: Iterable[str], rules: Mapping[str, str]) -> dict[str, str]:
    """Their parameter names to ours; names that no rule knows are left out."""
    compiled = [(re.compile(re.escape(a).replace(r"\#", r"(\d+)")), b) for a, b in rules.items()]
    renamed = {}
    for name in names:
        if name in rules:  # a tensor and not a module
            renamed[name] = rules[name]
            continue
        module, _, leaf = name.rpartition(".")
        for pattern, ours in compiled:
            if match := pattern.fullmatch(module):
                numbers = iter(match.groups())
                renamed[name] = re.sub("#", lambda _, n=numbers: next(n), ours) + f".{leaf}"  # type: ignore[misc]
                break
    return renamed
