"""The segments of all images in one file, as COCO has data sets."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from segkit.engine.predictions.ledger import Record
from segkit.engine.predictions.outputs import whole


def write_coco(output: Path, records: Iterable[Record], classes: Sequence[str]) -> Path:
    """Writes ``coco.json`` (images, annotations, categories) from the files of single images, one in memory at a time.

    Category ids are class ids, so they begin with 0; image and annotation ids with 1.
    """
    path = output / "coco.json"
    images: list[dict[str, Any]] = []
    count = 0
    with whole(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('{"annotations": [')
        for image_id, (record, name, segments) in enumerate(_files(output, records), 1):
            height, width = record.size
            images.append({"id": image_id, "file_name": name, "height": height, "width": width})
            for segment in json.loads(segments.read_text(encoding="utf-8")):
                file.write(",\n" if count else "\n")
                count += 1
                del segment["category"]
                file.write(json.dumps({"id": count, "image_id": image_id, "iscrowd": 0, **segment}))
        categories = [{"id": index, "name": name} for index, name in enumerate(classes)]
        file.write(f'],\n"images": {json.dumps(images)},\n"categories": {json.dumps(categories)}}}\n')
    return path


def _files(output: Path, records: Iterable[Record]) -> Iterator[tuple[Record, str, Path]]:
    """Each image, or frame, with its name and the file of its segments."""
    for record in records:
        if "rle" not in record.files:
            continue
        place = output / record.files["rle"]
        source = Path(record.source)
        if record.kind == "image":
            yield record, f"{Path(record.target).with_name(source.name).as_posix()}", place
        else:
            for frame in sorted(place.glob("*.json")):
                yield record, f"{record.target}/{frame.stem}", frame
