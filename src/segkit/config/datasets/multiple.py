"""Several data sets as one, their classes brought into one list."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

from segkit.config.component import Choice, component
from segkit.config.datasets.base import Color, DatasetConfig, voc_color
from segkit.config.spelling import hint
from segkit.errors import ConfigError, Problem


@component
class SourceConfig:
    """One data set of a mixture."""

    dataset: Annotated[DatasetConfig, Choice("dataset", without="MultipleDataset")]
    """The data set, with its own root, splits, label_map and repeat_times; transforms are the mixture's."""
    share: PositiveFloat | None = None
    """Its part of an epoch, in proportion to the other sources' shares; null in all takes each sample once."""
    remap: dict[str, str | int] = Field(default_factory=dict)
    """Class of the source -> class of the mixture or ignore, by name or id; equal names need no entry."""


@component
class MultipleDatasetConfig(DatasetConfig):
    """Several data sets, trained on together; each keeps its own root, splits and labels."""

    type: Literal["MultipleDataset"] = "MultipleDataset"
    sources: dict[str, SourceConfig] = Field(default_factory=dict)
    """The data sets, by any name."""
    class_names: tuple[str, ...] = ()
    """Joint classes; empty takes those of the first source."""
    colors: tuple[Color, ...] | None = None
    """RGB of each joint class; null takes the sources' colours."""
    evaluate_on: tuple[str, ...] = ()
    """Sources whose validation splits are joined to evaluate on; empty takes all. ``segkit-test --split NAME`` is a
    source by itself."""

    @property
    def image_channels(self) -> int:
        return self._first.image_channels if self.sources else 3

    @property
    def classes(self) -> tuple[str, ...]:
        return self.class_names or (self._first.classes if self.sources else ())

    @property
    def palette(self) -> tuple[Color, ...]:
        if self.colors is not None:
            return self.colors
        known: dict[int, Color] = {}
        for name, source in self.sources.items():
            for target, color in zip(self.targets(name), source.dataset.palette, strict=True):
                if isinstance(target, int):
                    known.setdefault(target, color)
        return tuple(known.get(i, voc_color(i)) for i in range(len(self.classes)))

    @property
    def _first(self) -> DatasetConfig:
        return next(iter(self.sources.values())).dataset

    def require_root(self) -> None:
        for source in self.sources.values():
            source.dataset.require_root()

    def targets(self, name: str) -> tuple[int | Literal["ignore"] | None, ...]:
        """For each class of a source its joint class or ignore; None where neither is known."""
        source = self.sources[name]
        own = source.dataset.classes
        remap = {_position(key, own): value for key, value in source.remap.items()}
        found = (remap.get(i, self.classes.index(own[i]) if own[i] in self.classes else None) for i in range(len(own)))
        return tuple("ignore" if t == "ignore" else None if t is None else _position(t, self.classes) for t in found)

    def require_fit(self) -> None:
        """Stops where the sources do not fit together.

        Raises:
            ConfigError: with every reason.
        """
        found = [Problem(f"dataset.{problem.path}", problem.message) for problem in self.problems()]
        if found:
            raise ConfigError(found)

    def problems(self) -> Iterator[Problem]:
        if not self.sources:
            yield Problem("sources", "is empty; name the data sets to mix")
        if self.label_map is not None:
            yield Problem("label_map", "belongs into the sources, whose label files it describes")
        if self.colors is not None and len(self.colors) != len(self.classes):
            yield Problem("colors", f"must have one RGB triple for each of {len(self.classes)} classes")
        for name in self.evaluate_on:
            if name not in self.sources:
                text = f"no source is called {name!r}{hint(name, self.sources)}; sources: {', '.join(self.sources)}"
                yield Problem("evaluate_on", text)
        shares = [source.share for source in self.sources.values()]
        if None in shares and any(shares):
            missing = ", ".join(name for name, source in self.sources.items() if source.share is None)
            yield Problem("sources", f"must all have a share, or none (missing in {missing})")
        for name, source in self.sources.items():
            for problem in self._problems_of(name, source):
                yield Problem(f"sources.{name}.{problem.path}", problem.message)

    def _problems_of(self, name: str, source: SourceConfig) -> Iterator[Problem]:
        own, joint = source.dataset.classes, self.classes
        if source.dataset.train_transforms or source.dataset.val_transforms or source.dataset.batch_transforms:
            yield Problem("dataset", "must have no transforms; those of the mixture serve all sources")
        if source.dataset.image_channels != self.image_channels:
            text = f"images must have {self.image_channels} channels, as the first source (got "
            yield Problem("dataset", f"{text}{source.dataset.image_channels})")
        for key, value in source.remap.items():
            if _position(key, own) is None:
                yield Problem(f"remap.{key}", f"is no class of {name}{hint(key, own)}; ids go to {len(own) - 1}")
            if value != "ignore" and _position(value, joint) is None:
                text = f"must be ignore or a joint class (got {value!r}){hint(str(value), joint)}"
                yield Problem(f"remap.{key}", text)
        mapped = {_position(key, own) for key in source.remap}
        lost = [c for i, c in enumerate(own) if c not in joint and i not in mapped]
        if lost:
            shown = ", ".join(f"{c!r}{hint(c, joint)}" for c in lost[:5]) + (" ..." if len(lost) > 5 else "")
            yield Problem("remap", f"must place {len(lost)} classes that the mixture lacks, or ignore them: {shown}")


def _position(key: str | int, names: tuple[str, ...]) -> int | None:
    """The class id that a name, or an id as text, means; None if none."""
    if str(key) in names:
        return names.index(str(key))
    return int(key) if str(key).isdecimal() and int(key) < len(names) else None
