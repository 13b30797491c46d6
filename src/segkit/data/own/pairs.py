"""Which file is an image, which its label, and in which split they are, told by names alone."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from segkit.config.datasets import FolderDatasetConfig
from segkit.errors import DatasetError

_SPLITS = {
    "train": ("train", "training", "trn", "tr"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "tst"),
}
_IMAGE = frozenset(
    {"image", "images", "img", "imgs", "jpegimages", "photo", "photos", "picture", "pictures"}
    | {"input", "inputs", "rgb", "scan", "scans", "origin"}
)
_LABEL = frozenset(
    {"label", "labels", "mask", "masks", "annotation", "annotations", "annot", "annots", "ann", "anns", "gt"}
    | {"groundtruth", "ground", "truth", "target", "targets", "seg", "segs", "segmentation", "segmentations"}
    | {"segmentationclass", "labelids"}
)
_FILLER = ("png", "jpg", "jpeg", "tif", "dir", "folder", "set", "data", "raw", "all")
_MEANINGS = (
    {word: ("split", split) for split, words in _SPLITS.items() for word in words}
    | dict.fromkeys(_IMAGE, ("role", "image"))
    | dict.fromkeys(_LABEL, ("role", "label"))
    | dict.fromkeys(_FILLER, ("", ""))
)
_SPLIT_WORDS = sorted((word for words in _SPLITS.values() for word in words), key=len, reverse=True)
_ENDING = re.compile(rf"(?:^|[_\-. ])({'|'.join(sorted(_IMAGE | _LABEL, key=len, reverse=True))})$", re.I)


class Pair(NamedTuple):
    """An image and its label; paths below the root."""

    image: Path
    label: Path


@dataclass(frozen=True)
class Found:
    """What a folder holds.

    Attributes:
        splits: name -> its pairs; there are ``train`` and ``val``.
        notes: what the user should know.
    """

    splits: dict[str, list[Pair]]
    notes: tuple[str, ...]


class _File(NamedTuple):
    path: Path
    role: str
    split: str
    folders: tuple[str, ...]
    stem: str


def find_pairs(root: Path, *, val_share: float = 0.2) -> Found:
    """Finds images and their labels below a folder.

    Folders and file names are read as words: ``images/train/a.jpg`` and ``labels/train/a.png``, ``train_img`` and
    ``train_mask``, ``a.jpg`` and ``a_mask.png`` side by side. Without a split, one is drawn by the names' hashes, so
    that it is the same everywhere, and stays nearly the same when images are added.

    Args:
        root: the folder.
        val_share: of the images that are kept for validation where there is no such split.

    Raises:
        DatasetError: there are no images, or no labels that go with them.
    """
    files = [_read_name(path.relative_to(root)) for path in _image_files(root)]
    if not files:
        raise DatasetError(f"{root}: no images below it ({', '.join(FolderDatasetConfig().image_suffixes)})")
    images, labels = _roles(files)
    matched = _match(images, labels)
    if not matched:
        raise DatasetError(
            f"{root}: {len(images)} images and {len(labels)} labels, but none go together, such as "
            f"{images[0].path}{f' and {labels[0].path}' if labels else ''}; a label has its image's name in a folder "
            "called labels, masks or annotations, or its name with _mask or _label at the end"
        )
    notes = [_left_out(images, {image.path for image, _ in matched}, "images have no label")]
    notes.append(_left_out(labels, {label.path for _, label in matched}, "labels have no image"))
    splits = _splits(root, matched, val_share, notes)
    return Found(splits, tuple(note for note in notes if note))


def _image_files(root: Path) -> Iterable[Path]:
    suffixes = FolderDatasetConfig().image_suffixes
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        for name in sorted(names):
            if name.lower().endswith(suffixes) and not name.startswith("."):
                yield Path(folder, name)


def _read_name(path: Path) -> _File:
    role = split = ""
    folders = []
    for part in path.parent.parts:
        meanings = _meanings(part)
        if meanings is None:
            folders.append(part)
            continue
        for kind, value in meanings:
            role, split = (value, split) if kind == "role" else (role, value) if kind == "split" else (role, split)
    ending = _ENDING.search(path.stem)
    if ending and not role:
        role = _MEANINGS[ending[1].lower()][1]
    return _File(path, role, split, tuple(folders), path.stem)


def _meanings(part: str) -> list[tuple[str, str]] | None:
    """What the words of a folder's name say; None if one of them says nothing."""
    words = re.findall(r"[a-z]+|[0-9]+", part.lower())
    found = []
    for word in words:
        split = next((w for w in _SPLIT_WORDS if word.startswith(w)), "")
        for piece in [word] if word in _MEANINGS else [split, word.removeprefix(split)]:
            if piece not in _MEANINGS:
                return None
            found.append(_MEANINGS[piece])
    return found if any(kind for kind, _ in found) else None


def _roles(files: Sequence[_File]) -> tuple[list[_File], list[_File]]:
    labels = [f for f in files if f.role == "label"]
    images = [f for f in files if f.role != "label"]
    if labels:
        return images, labels
    photos = {(f.folders, f.split, f.stem) for f in files if f.path.suffix.lower() in (".jpg", ".jpeg")}
    beside = [f for f in files if f.path.suffix.lower() == ".png" and (f.folders, f.split, f.stem) in photos]
    return [f for f in files if f not in set(beside)], beside


def _match(images: Sequence[_File], labels: Sequence[_File]) -> list[tuple[_File, _File]]:
    """The most pairs that one way to compare names gives."""
    image_tail, label_tail = _common_tail(images), _common_tail(labels)
    ways: list[Callable[[_File], str]] = [
        lambda f: f.stem,
        lambda f: _ENDING.sub("", f.stem),
        lambda f: f.stem.removesuffix(label_tail if f.role == "label" else image_tail),
        lambda f: f.stem.removesuffix(label_tail) if f.role == "label" else f.stem,
    ]
    best: list[tuple[_File, _File]] = []
    for with_folders in (True, False):
        for way in ways:
            found = _pairs(images, labels, way, with_folders)
            best = found if len(found) > len(best) else best
    return best


def _pairs(
    images: Sequence[_File], labels: Sequence[_File], way: Callable[[_File], str], with_folders: bool
) -> list[tuple[_File, _File]]:
    def key(file: _File, split: str) -> tuple[object, ...]:
        return (file.folders if with_folders else (), split, way(file))

    counts = Counter(key(f, f.split) for f in labels)
    table = {key(f, f.split): f for f in labels if counts[key(f, f.split)] == 1}
    taken = Counter(key(f, f.split) for f in images)
    found = []
    for image in images:
        label = table.get(key(image, image.split)) or table.get(key(image, ""))
        if label is not None and taken[key(image, image.split)] == 1:
            found.append((image, label))
    return found


def _common_tail(files: Sequence[_File]) -> str:
    """What all names end in, from a separator on: ``_gtFine_labelIds``."""
    stems = [f.stem for f in files]
    tail = min(stems, key=len) if len(stems) > 1 else ""
    while not all(stem.endswith(tail) for stem in stems):
        tail = tail[1:]
    start = re.search(r"[_\-. ]", tail)
    return tail[start.start() :] if start else ""


def _left_out(files: Sequence[_File], used: set[Path], what: str) -> str:
    left = [str(f.path) for f in files if f.path not in used]
    return (
        f"{len(left)} {what} and are left out: {', '.join(left[:4])}{', ...' if len(left) > 4 else ''}" if left else ""
    )


def _splits(
    root: Path, matched: Sequence[tuple[_File, _File]], val_share: float, notes: list[str]
) -> dict[str, list[Pair]]:
    listed = _listed(root)
    splits: dict[str, list[Pair]] = {}
    unlisted = 0
    for image, label in matched:
        split = image.split or label.split
        if listed and not split:
            split = listed.get(image.stem, "")
            unlisted += not split
            if not split:
                continue
        splits.setdefault(split or "train", []).append(Pair(image.path, label.path))
    if unlisted:
        notes.append(f"{unlisted} images are in none of the lists beside them and are left out")
    splits.setdefault("train", [])
    if "val" not in splits:
        splits["train"], splits["val"] = _drawn(splits["train"], val_share)
        notes.append(
            f"no split for validation: {len(splits['val'])} of {len(splits['train']) + len(splits['val'])} images, "
            "drawn by their names, are kept for it"
        )
    if len(splits["train"]) < 2 or not splits["val"]:
        counts = ", ".join(f"{len(pairs)} of {name}" for name, pairs in splits.items())
        raise DatasetError(f"{root}: too few labelled images ({counts}); a training needs two, an evaluation one")
    return {name: splits[name] for name in ("train", "val", "test") if name in splits}


def _listed(root: Path) -> dict[str, str]:
    """Image stem -> split, as files like ``train.txt`` say."""
    found: dict[str, str] = {}
    for split, words in _SPLITS.items():
        for path in sorted(p for word in words for p in root.rglob(f"{word}.txt")):
            for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
                if line.strip():
                    name = re.split(r"[\t,]", line)[0].strip()
                    found.setdefault(Path(name).stem if Path(name).suffix else Path(name).name, split)
    return found


def _drawn(pairs: Sequence[Pair], share: float) -> tuple[list[Pair], list[Pair]]:
    count = max(1, round(len(pairs) * share))
    ranked = sorted(pairs, key=lambda pair: blake2b(pair.image.as_posix().encode()).digest())
    val = set(ranked[:count])
    return [p for p in pairs if p not in val], [p for p in pairs if p in val]
