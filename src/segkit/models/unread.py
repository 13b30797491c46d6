"""Parts that no head would train: found by following the outputs back to the parameters, on tensors without values."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from segkit.config.channels import seen_channels
from segkit.config.checks import crop_size
from segkit.config.component import type_name
from segkit.config.segmentor import SegmentorConfig
from segkit.errors import ConfigError, Problem, some_of
from segkit.models.segmentor import Segmentor

_SIZE = (256, 256)
"""Of images that training does not crop to one size."""

_SHOWN = 3


@dataclass(frozen=True)
class Reading:
    """Who reads what of the features that a segmentor's heads are given.

    Attributes:
        count: of the features.
        read: head -> the features that its outputs depend on, 0 is the first; ``head``, ``auxiliary.<name>``.
        untrained: trainable parameters of backbone and neck that no output depends on.
        needed: the unread features that depend on those.
    """

    count: int
    read: Mapping[str, Sequence[int]]
    untrained: Sequence[str]
    needed: Sequence[int]


def require_readers(config: SegmentorConfig, model: Segmentor) -> None:
    """Refuses a training in which a part of backbone or neck would never change, as no head reads what it makes.

    Such a part takes memory for nothing, and the second step of several processes would wait for its gradient.

    Raises:
        ConfigError: naming the features that nobody reads, who reads the others, and what to change.
    """
    try:
        reading = follow(model, (2, seen_channels(config.dataset), *(crop_size(config) or _SIZE)))
    except Exception:  # noqa: BLE001 - a component of the user's own need not run without values: it is not judged
        return
    parts = {"backbone": "backbone", "neck": "head.neck"}
    problems = [
        Problem(path, _unread(config, reading, names))
        for part, path in parts.items()
        if (names := [name for name in reading.untrained if name.startswith(f"{part}.")])
    ]
    if problems:
        raise ConfigError(problems)


def _unread(config: SegmentorConfig, reading: Reading, names: Sequence[str]) -> str:
    """What is wrong, who reads what, and what to do."""
    kinds = {"head": type_name(type(config.head))}
    kinds |= {f"auxiliary.{name}": type_name(type(aux.head)) for name, aux in config.auxiliary.items()}
    read = ", ".join(f"{head} ({kinds[head]}) reads {_listed(levels)}" for head, levels in reading.read.items())
    shown = some_of(names, _SHOWN)
    if not reading.needed:
        return f"no feature depends on its parameters {shown}, which would never be trained; take them out"
    which = "feature" if len(reading.needed) == 1 else "features"
    unread = f"no head reads {which} {_listed(reading.needed)} of 0 to {reading.count - 1}: {read}"
    return f"{unread}; {shown} would never be trained; {_remedy(config, reading)}"


def _remedy(config: SegmentorConfig, reading: Reading) -> str:
    used = sorted({i for levels in reading.read.values() for i in levels})
    one = "an auxiliary one of level" if len(reading.needed) == 1 else "auxiliary ones of levels"
    more = f"a head that reads all, or {one} {_listed(reading.needed)}"
    indices: Sequence[int] | None = getattr(config.backbone, "out_indices", None)
    if config.head.neck is not None:
        name = type_name(type(config.head.neck))
        return f"choose {more}, or leave {name} out (head.neck=null)"
    if indices is None:
        return f"choose {more}"
    moved = ", from which auxiliary levels then count," if config.auxiliary else ""
    return f"set backbone.out_indices=[{','.join(str(indices[i]) for i in used)}]{moved} or choose {more}"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"


def follow(segmentor: Segmentor, images: Sequence[int]) -> Reading:
    """Runs the model without computing anything; it is left as it was.

    Args:
        segmentor: the model, on any device.
        images: shape (N, C, H, W) of what it is trained on.
    """
    fakes = FakeTensorMode(allow_non_fake_inputs=True)
    with _evaluating(segmentor), without_values(segmentor, fakes), fakes:
        trainable = {id(p): name for name, p in segmentor.named_parameters() if p.requires_grad}
        features, outputs = _run(segmentor, torch.empty(*images))
    reads = {head: _reached(_tensors(found)) for head, (_, found) in outputs.items()}
    read = {head: [i for i, x in enumerate(seen) if id(x) in reads[head]] for head, (seen, _) in outputs.items()}
    used = {i for levels in read.values() for i in levels}
    trained = _reached(features[i] for i in used)
    own = {i: n for i, n in trainable.items() if n.startswith(("backbone.", "neck."))}
    untrained = {i: name for i, name in own.items() if i not in trained}
    others = [i for i in range(len(features)) if i not in used]
    needed = [i for i in others if not untrained.keys().isdisjoint(_reached([features[i]]))]
    return Reading(len(features), read, list(untrained.values()), needed)


def _run(model: Segmentor, images: Tensor) -> tuple[list[Tensor], dict[str, tuple[list[Tensor], Any]]]:
    """The features, and for each head what it sees, cut off from where it comes from, and what it makes of that."""
    features = model.features(images)
    seen = _leaves(features)
    outputs: dict[str, tuple[list[Tensor], Any]] = {"head": (seen, model.head.outputs(seen))}
    for name, head in model.auxiliary.items():
        seen = _leaves(features[: model.levels[name] + 1])
        outputs[f"auxiliary.{name}"] = (seen, head(seen))
    return features, outputs


def _leaves(features: Iterable[Tensor]) -> list[Tensor]:
    return [x.detach().requires_grad_() for x in features]


@contextmanager
def without_values(model: nn.Module, fakes: FakeTensorMode, device: str | None = None) -> Iterator[None]:
    """For a while parameters and buffers have shapes alone, on ``device`` if given; shared ones stay shared."""
    tables: list[dict[str, Any]] = [table for m in model.modules() for table in (m._parameters, m._buffers)]
    kept = [(table, name, value) for table in tables for name, value in table.items() if value is not None]
    empty: dict[int, Tensor] = {}
    for _, _, value in kept:
        fake = fakes.from_tensor(value.detach())
        with fakes:  # in which a device need not be there
            empty.setdefault(id(value), fake.to(device).requires_grad_(value.requires_grad))
    for table, name, value in kept:
        table[name] = empty[id(value)]
    try:
        yield
    finally:
        for table, name, value in kept:
            table[name] = value


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """In eval mode nothing is random, and no process waits for the statistics of another."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _reached(outputs: Iterable[Tensor]) -> set[int]:
    """Ids of the leaves that the outputs depend on."""
    leaves: set[int] = set()
    nodes: set[Any] = set()
    waiting: list[Any] = []
    for x in outputs:
        waiting.append(x.grad_fn)
        leaves.add(id(x))
    while waiting:
        node = waiting.pop()
        if node is None or node in nodes:
            continue
        nodes.add(node)
        if hasattr(node, "variable"):
            leaves.add(id(node.variable))
        waiting += [parent for parent, _ in node.next_functions]
    return leaves


def _tensors(tree: Any) -> Iterator[Tensor]:
    """All tensors of nested mappings and sequences."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, Mapping):
        yield from _tensors(list(tree.values()))
    elif isinstance(tree, (list, tuple)):
        for part in tree:
            yield from _tensors(part)
