"""Under which names services know a run; kept in its folder, so that a resumed run is the same run there."""

import json

from segkit.engine.run import RunFolder
from segkit.files import write_file


def read_identity(folder: RunFolder, service: str, place: str) -> str | None:
    """The run's id at a service, None if it has none at this ``place`` (a project, a server) yet."""
    known = _read(folder).get(service, {})
    return known.get("id") if known.get("place") == place else None


def write_identity(folder: RunFolder, service: str, place: str, identity: str) -> None:
    """Keeps the id."""
    known = _read(folder) | {service: {"place": place, "id": identity}}
    write_file(folder.identities, json.dumps(known, indent=2) + "\n")


def _read(folder: RunFolder) -> dict[str, dict[str, str]]:
    if not folder.identities.exists():
        return {}
    known: dict[str, dict[str, str]] = json.loads(folder.identities.read_text(encoding="utf-8"))
    return known
