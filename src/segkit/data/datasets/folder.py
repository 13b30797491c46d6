"""A data set of your own: folders or lists of images and label images."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkit.config.datasets import FolderDatasetConfig, SplitConfig
from segkit.config.datasets.facts import identity
from segkit.data.datasets.base import FileDataset, Record
from segkit.data.datasets.files import pair
from segkit.data.io import read_color_label
from segkit.data.labels import MAX_CLASSES
from segkit.errors import ConfigError, DatasetError, UnknownColorError
from segkit.registry import DATASETS
from segkit.types import IGNORE_INDEX

_UNKNOWN = MAX_CLASSES


@DATASETS.register(FolderDatasetConfig)
class FolderDataset(FileDataset):
    """Images and labels of the same name in two folders, or pairs in a list file.

    Without ``splits`` the layout is ``root/images/<split>/**`` and ``root/labels/<split>/**``; if there is no labels
    folder, the split has no labels. Sub-folders are searched, and become part of a sample's name.
    """

    def __init__(self, config: FolderDatasetConfig, split: str) -> None:
        if not config.class_names:
            raise ConfigError("dataset.class_names: list the classes of your data, in the order of their ids")
        records = _records(config, split)
        known = [0, 1] if len(config.class_names) == 1 else range(len(config.class_names))
        # A single class has no default ignore: 255 is how most tools write "yes", and must not vanish silently.
        ignored = (IGNORE_INDEX,) if len(config.class_names) > 1 else ()
        super().__init__(config, split, records, identity(len(known), *ignored))
        self._colors = _color_table(config) if config.label_format == "color" else None

    def read_mask(self, path: Path) -> NDArray[np.uint8]:
        if self._colors is None:
            return super().read_mask(path)
        return _mask_of_colors(read_color_label(path), self._colors, path)


def _records(config: FolderDatasetConfig, split: str) -> list[Record]:
    if not config.splits:
        labels = config.root / "labels" / split
        chosen = SplitConfig(images=Path("images") / split, labels=Path("labels") / split if labels.is_dir() else None)
    elif split in config.splits:
        chosen = config.splits[split]
    else:
        raise DatasetError(f"dataset.splits has no {split!r}; it has {', '.join(sorted(config.splits))}")
    images = config.root / chosen.images
    labels_folder = None if chosen.labels is None else config.root / chosen.labels
    for folder in (images, labels_folder):
        if folder is not None and not folder.exists():
            raise DatasetError(
                f"FolderDataset: {folder} is missing (dataset.root is {config.root}, split {split!r}); expected "
                "images/<split> and labels/<split> below the root, or name your folders in dataset.splits"
            )
    if images.is_file():
        return _from_list(config, images, labels_folder)
    return _from_folder(config, images, labels_folder)


def _from_folder(config: FolderDatasetConfig, images: Path, labels: Path | None) -> list[Record]:
    files = _by_name(images, tuple(s.lower() for s in config.image_suffixes))
    if labels is None:
        return [Record(name, path, None) for name, path in files.items()]
    found = _by_name(labels, (config.label_suffix.lower(),))
    pattern = f"{labels}/{{id}}{config.label_suffix}"
    names = pair(
        config, list(files), found, where=f"FolderDataset, {images}", pattern=pattern, whole=True, strict=False
    )
    return [Record(name, files[name], found[name]) for name in names]


def _by_name(folder: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    """Path below a folder without its ending -> file, for all files with one of the endings, whatever their case.

    Raises:
        DatasetError: two files differ in their endings alone.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        ending = next((e for e in endings if path.name.lower().endswith(e)), None)
        if ending is None or not path.is_file():
            continue
        name = path.relative_to(folder).as_posix()[: -len(ending)]
        if name in found:
            raise DatasetError(f"FolderDataset: {path} and {found[name]} have the same name, so the same label")
        found[name] = path
    return found


def _from_list(config: FolderDatasetConfig, path: Path, labels: Path | None) -> list[Record]:
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        columns = [
            c.strip() for c in (line.split("\t") if "\t" in line else line.split(",") if "," in line else line.split())
        ]
        if len(columns) > 2:
            raise DatasetError(
                f"{path}:{number}: has {len(columns)} columns; expected an image, or an image and a label"
            )
        image = Path(columns[0])
        if len(columns) == 2:
            label: Path | None = config.root / columns[1]
        else:
            label = None if labels is None else labels / f"{image.stem}{config.label_suffix}"
        records.append(Record(image.with_suffix("").as_posix().lstrip("/"), config.root / image, label))
    return records


def _color_table(config: FolderDatasetConfig) -> NDArray[np.uint8]:
    """Packed 24-bit colour -> class id."""
    if config.colors is None or len(config.colors) != len(config.class_names):
        raise ConfigError("dataset.colors: label_format: color needs one RGB triple for each class")
    fill = IGNORE_INDEX if config.unknown_labels == "ignore" else _UNKNOWN
    table = np.full(1 << 24, fill, np.uint8)
    for red, green, blue in config.ignore_colors:
        table[red << 16 | green << 8 | blue] = IGNORE_INDEX
    only = len(config.colors) == 1
    if only:
        table[0] = 0  # one class: black is "no"
    for i, (red, green, blue) in enumerate(config.colors):
        table[red << 16 | green << 8 | blue] = 1 if only else i
    return table


def _mask_of_colors(label: NDArray[np.uint8], table: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    packed = label.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)  # (H, W)
    mask = table.take(packed)
    if (mask == _UNKNOWN).any():
        values, counts = np.unique(packed[mask == _UNKNOWN], return_counts=True)
        shown = ", ".join(
            f"[{v >> 16}, {v >> 8 & 255}, {v & 255}] ({c} pixels)"
            for v, c in zip(values[:5].tolist(), counts[:5].tolist(), strict=True)
        )
        more = f" and {len(values) - 5} more" if len(values) > 5 else ""
        raise UnknownColorError(
            f"{path}: {shown}{more} are colours of no class; add them to dataset.ignore_colors or set "
            "`unknown_labels: ignore`"
        )
    return mask
