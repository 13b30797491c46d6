"""Follows a recipe, from where an earlier run of it stopped."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from segkit.data.prepare.fetch import digest_of, download, verify
from segkit.data.prepare.recipe import Archive, Convert, Place, Recipe, Say, Unpack
from segkit.data.prepare.unpack import unpack
from segkit.errors import DatasetError
from segkit.files import write_file

STATE = ".segkit-prepare.json"
WORK = ".work"
INCOMING = ".incoming"


@dataclass
class _State:
    """What earlier runs have done, kept in the root.

    Attributes:
        path: the file.
        archives: path -> size, time stamp and digest of each archive that was verified.
        done: steps that were finished -> digests of the archives they came from.
    """

    path: Path
    archives: dict[str, dict[str, Any]] = field(default_factory=dict)
    done: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "_State":
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            return cls(path, dict(kept["archives"]), dict(kept["done"]))
        except (FileNotFoundError, NotADirectoryError):
            return cls(path)
        except (OSError, ValueError, KeyError, TypeError):
            raise DatasetError(f"{path}: is damaged; delete it, and the same command starts over") from None

    def write(self) -> None:
        write_file(self.path, json.dumps({"archives": self.archives, "done": self.done}, indent=1))


def prepare(
    recipe: Recipe,
    root: Path,
    *,
    archives: Path | None = None,
    mirror: str = "",
    say: Say,
    warn: Callable[[str], None],
) -> None:
    """Fetches, verifies, unpacks and converts; what is done already is not done again.

    Args:
        recipe: of the data set.
        root: its folder.
        archives: where archives are and go; ``root/archives`` by default.
        mirror: address of a folder that has all archives, by their names, in place of the published addresses.
        say: told of the progress.
        warn: told of what may be as it should.

    Raises:
        DatasetError: an archive is missing or is not what it should be, or there is no room.
    """
    folder = archives if archives is not None else root / "archives"
    state = _State.read(root / STATE)
    found = {archive: _have(archive, folder) for archive in recipe.archives}
    if not any(found.values()) and all(_key(step, recipe) in state.done for step in recipe.steps):
        return  # prepared, and the archives deleted since
    # A server can be asked for names, but not for all that fit a pattern.
    _require(recipe, [a for a in recipe.by_hand if not found[a] and (not mirror or "*" in a.name)], folder)
    root.mkdir(parents=True, exist_ok=True)
    digests: dict[str, list[str]] = {}
    for archive in recipe.archives:
        if not found[archive] and not archive.optional:
            try:
                found[archive] = [_fetch(archive, folder, mirror, say)]
            except DatasetError as error:
                raise DatasetError(f"{error}; or fetch it by hand from {recipe.page} into {folder}") from None
        digests[archive.name] = [_digest(path, archive, state, say, warn) for path in found[archive]]
    files = {archive.name: paths for archive, paths in found.items()}
    for step in recipe.steps:
        _follow(step, recipe, root, files, digests, state, say)
    shutil.rmtree(root / WORK, ignore_errors=True)


def _follow(
    step: Unpack | Convert,
    recipe: Recipe,
    root: Path,
    files: Mapping[str, list[Path]],
    digests: Mapping[str, list[str]],
    state: _State,
    say: Say,
) -> None:
    """Does a step that no earlier run has finished with the same archives."""
    key = _key(step, recipe)
    source = _all_digests(digests) if isinstance(step, Convert) else digests[step.archive]
    throw_away = isinstance(step, Unpack) and step.to.startswith(WORK)
    if state.done.get(key) == source and not throw_away:
        return
    conversions = [_key(s, recipe) for s in recipe.steps if isinstance(s, Convert)]
    if throw_away and all(state.done.get(c) == _all_digests(digests) for c in conversions):
        return
    if isinstance(step, Convert):
        step.function(Place(root, root / WORK, say))
    else:
        for path in files[step.archive]:
            what = f"unpacking {path.name}"
            unpack(path, root / step.to, below=step.below, say=lambda done, total, what=what: say(what, done, total))  # type: ignore[misc]
    state.done[key] = list(source)
    state.write()


def _key(step: Unpack | Convert, recipe: Recipe) -> str:
    """What a step is called in the state."""
    what = step.what if isinstance(step, Convert) else f"unpack {step.archive} to {step.to or '.'}"
    return f"{recipe.name}: {what}"


def _all_digests(digests: Mapping[str, list[str]]) -> list[str]:
    return sorted(digest for found in digests.values() for digest in found)


def _have(archive: Archive, folder: Path) -> list[Path]:
    if "*" in archive.name:
        return sorted(folder.glob(archive.name))
    return [path for path in (folder / name for name in (archive.name, *archive.others)) if path.is_file()][:1]


def _require(recipe: Recipe, missing: Sequence[Archive], folder: Path) -> None:
    if missing:
        names = ", ".join(archive.name for archive in missing)
        raise DatasetError(
            f"{recipe.name}: fetch {names} from {recipe.page} ({recipe.terms}) into {folder}, "
            "or say with --archives where they are"
        )


def _fetch(archive: Archive, folder: Path, mirror: str, say: Say) -> Path:
    """Downloads an archive; it comes to its place once it is known to be what it should be."""
    url = urljoin(mirror.rstrip("/") + "/", archive.name) if mirror else archive.url
    incoming, target = folder / INCOMING / archive.name, folder / archive.name
    if not incoming.is_file():  # else an earlier run was killed while it verified it
        download(url, incoming, lambda done, total: say(f"fetching {archive.name}", done, total))
    try:
        verify(incoming, archive, lambda done, total: say(f"verifying {archive.name}", done, total))
    except DatasetError as error:
        incoming.unlink()
        raise DatasetError(f"{error}; it was deleted, the same command fetches it again") from None
    incoming.replace(target)
    if not any(incoming.parent.iterdir()):
        incoming.parent.rmdir()
    return target


def _digest(path: Path, archive: Archive, state: _State, say: Say, warn: Callable[[str], None]) -> str:
    """The digest of an archive; of one that has not changed since an earlier run, as that has found it.

    A file of the user's own that is another one than published may be a later version, and is taken.
    """
    stat = path.stat()
    known = state.archives.get(str(path.resolve()), {})
    if (known.get("size"), known.get("time")) == (stat.st_size, stat.st_mtime_ns):
        return str(known["digest"])
    what = f"verifying {path.name}"
    published = archive._replace(digest="", size=0) if path.name in archive.others else archive
    try:
        found = verify(path, published, lambda done, total: say(what, done, total))
    except DatasetError as error:
        warn(f"{error}; going on with it, as it is your own")
        found = digest_of(path, "sha256", lambda done, total: say(what, done, total))
    state.archives[str(path.resolve())] = {"size": stat.st_size, "time": stat.st_mtime_ns, "digest": found}
    state.write()
    return found
