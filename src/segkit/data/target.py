"""Where a submission may be written; asked before numpy and torch are loaded."""

from pathlib import Path

from segkit.errors import ConfigError, Problem

ARCHIVES = (".zip", ".tar.gz", ".tgz")


def check_target(path: Path) -> None:
    """Refuses what a submission cannot be written to, before any work is done.

    Raises:
        ConfigError: the path is taken, or neither a folder nor an archive that segkit writes.
    """
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise ConfigError([Problem("--submission", f"{path} exists; name another, or remove it")])
    if path.is_dir():
        return
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir():
        raise ConfigError([Problem("--submission", f"{parent} is a file, no folder")])
    if path.suffix and not path.name.lower().endswith(ARCHIVES):
        text = f"must be a folder, or a file that ends in {', '.join(ARCHIVES)} (got {path.name})"
        raise ConfigError([Problem("--submission", text)])
