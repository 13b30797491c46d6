"""What segkit knows of published data sets, in words: for ``segkit-config`` and ``docs/datasets.md``."""

from collections.abc import Iterator

from segkit.config.component import CONFIGS
from segkit.config.datasets import DatasetConfig, Facts
from segkit.config.docs import summary
from segkit.errors import ConfigError

START = "<!-- made by segkit-config datasets --write -->"
END = "<!-- end -->"


def published() -> dict[str, DatasetConfig]:
    """Type name -> default config of the data sets whose facts are known, sorted without case."""
    found = {name: cls() for name, cls in sorted(CONFIGS["dataset"].items(), key=lambda item: item[0].lower())}
    return {name: config for name, config in found.items() if config.facts is not None}


def dataset_lines(config: DatasetConfig) -> list[str]:
    """Splits, layout, labels, submission and source of a data set, a line each; nothing if they are not known."""
    facts = config.facts
    if facts is None:
        return []
    pairs = ", ".join(f"{config.classes[a]} / {config.classes[b]}" for a, b in config.flip_pairs)
    lines = {
        "classes": str(len(config.classes)),
        "splits": splits(facts),
        "files": " or ".join(layouts(facts)),
        "labels": labels(config),
        "mirrored": pairs,
        "submission": submission(facts),
        "get it": config.source,
    }
    return [f"{key + ':':<12}{text}" for key, text in lines.items() if text]


def splits(facts: Facts) -> str:
    """``train 20210, test 3352 (no labels)``."""
    words = []
    for name, split in facts.splits.items():
        count = f" {split.images}" if split.images else ""
        words.append(f"{name}{count}{'' if split.labelled else ' (no labels)'}")
    return ", ".join(words)


def layouts(facts: Facts) -> Iterator[str]:
    """The patterns of each layout, with the folders that stand for ``{folder}``."""
    for layout in facts.layouts:
        patterns = [layout.images, *layout.labels, *([layout.names] if layout.names else [])]
        inside = next((folder for folder in layout.inside if folder), "")
        start = f"{inside}/" if inside and layout.inside[0] else ""
        words = [f"{name}: {' and '.join(split.folders)}" for name, split in facts.splits.items() if split.folders]
        meant = f" ({{folder}} of {', '.join(words)})" if words and any("{folder}" in p for p in patterns) else ""
        yield ", ".join(f"{start}{pattern}" for pattern in patterns) + meant


def labels(config: DatasetConfig) -> str:
    """The values in label files, runs of them together: ``1-150 -> 0-149; 0 ignored``."""
    runs: list[list[int]] = []  # [first value, last value, first class]
    ignored = []
    for value, new in sorted(config.own_label_map.items()):
        if new == "ignore":
            ignored.append(value)
        elif runs and value == runs[-1][1] + 1 and new == runs[-1][2] + value - runs[-1][0]:
            runs[-1][1] = value
        else:
            runs.append([value, value, new])
    if len(runs) > 20:
        return f"{runs[0][0]} -> {runs[0][2]}, any other -> {runs[-1][2]}"
    shown = [f"{a} -> {c}" if a == b else f"{a}-{b} -> {c}-{c + b - a}" for a, b, c in runs]
    return ", ".join(shown) + (f"; ignored: {_ranges(ignored)}" if ignored else "")


def _ranges(values: list[int]) -> str:
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)


def submission(facts: Facts) -> str:
    """File names and values."""
    form = facts.submission
    values = "class ids from 0" if form.values == "classes" else "values of the label files"
    return f"{form.files}: {values}{', with a palette' if form.palette else ''}"


def table() -> str:
    """The data sets as Markdown: a table, and where to get each."""
    rows = [
        "| data set | classes | splits: images | files below the root | labels | submission |",
        "|---|---|---|---|---|---|",
    ]
    for name, config in published().items():
        facts = config.facts
        if facts is not None:
            files = "<br>or ".join(f"`{text}`" for text in layouts(facts))
            cells = (f"`{name}`", str(len(config.classes)), splits(facts), files, labels(config), submission(facts))
            rows.append(f"| {' | '.join(cells)} |")
    sources = [f"- `{name}`: {summary(type(config))} {config.source}." for name, config in published().items()]
    return "\n".join([*rows, "", "Where to get them, and how they lie below `dataset.root`:", "", *sources])


def renew(text: str) -> str:
    """A page with its table made anew.

    Raises:
        ConfigError: it has no place for one.
    """
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ConfigError(f"the page has no {START} and {END}, between which the table goes")
    return f"{before}{START}\n{table()}\n{END}{after}"
