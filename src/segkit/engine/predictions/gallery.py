"""A page to look at all predictions: it stands by itself, beside its small pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from segkit.engine.predictions.ledger import Record
from segkit.files import write_file
from segkit.types import ClassInfo


def write_gallery(output: Path, records: Sequence[Record], info: ClassInfo) -> Path:
    """Writes ``gallery.html``; it names its pictures by relative paths, so the folder can be moved as a whole.

    Args:
        output: the folder of the results.
        records: all files; those without pictures are left out.
        info: names and colours by class id.
    """
    page = Environment(loader=PackageLoader("segkit.engine.predictions", "."), autoescape=True)
    page.policies["json.dumps_kwargs"] = {}  # by default it sorts the shares by name
    cards = [_card(record) for record in records if "gallery" in record.files]
    classes = [{"name": n, "color": f"rgb({r} {g} {b})"} for n, (r, g, b) in zip(info.names, info.palette, strict=True)]
    path = output / "gallery.html"
    write_file(path, page.get_template("gallery.html").render(cards=cards, classes=classes))
    return path


def _card(record: Record) -> dict[str, Any]:
    thumb = record.files["gallery"]
    height, width = record.size
    return {
        "name": record.target,
        "kind": record.kind,
        "size": f"{width} x {height}" + (f", {record.frames} frames" if record.kind == "video" else ""),
        "overlay": thumb,
        "image": f"{thumb.removesuffix('.jpg')}.image.jpg",
        "files": {kind: path for kind, path in record.files.items() if kind != "gallery"},
        "shares": record.shares,
        "seconds": record.seconds,
    }
