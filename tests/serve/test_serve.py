"""segkit-serve over real connections: the masks of segkit.load, and requests that are none of its business."""

import asyncio
import base64
import io
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi import HTTPException
from PIL import Image
from support.serving import Server, serving

from segkit.cli import serve
from segkit.inference.predictor import Predictor
from segkit.serve.limits import Gate, Limits

WAITING = 3


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def decoded(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.array(image)


NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_answers_are_those_of_the_predictor(server: Server, predictor: Predictor, image: Path) -> None:
    wanted, data = predictor(image), image.read_bytes()
    assert len(np.unique(wanted.mask)) > 1
    mask = server.predict(data, format="mask")
    assert mask.headers["content-type"] == "image/png"
    np.testing.assert_array_equal(decoded(mask.content), wanted.mask)
    assert mask.content == encoded_mask(wanted.mask_image())
    overlay = server.predict(data, format="overlay", opacity=0.7)
    assert overlay.headers["content-type"] == "image/jpeg"
    assert np.abs(decoded(overlay.content).astype(int) - wanted.overlay(0.7)).mean() < 12
    found = server.predict(data).json()
    assert (found["width"], found["height"]) == (60, 40)
    assert {c["name"]: c["share"] for c in found["classes"]} == pytest.approx(wanted.shares())
    assert all(c["color"] == list(wanted.palette[c["id"]]) for c in found["classes"])
    np.testing.assert_array_equal(decoded(base64.b64decode(found["mask"])), wanted.mask)
    assert server.predict(data, mask="rle").json()["segments"] == wanted.coco()
    assert server.predict(data, mask="none").json().keys() == {"width", "height", "classes", "seconds"}


def encoded_mask(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(NOISE, "JPEG", quality=95, exif=exif)


@pytest.mark.parametrize(
    "data",
    [turned(), encoded(NOISE, "TIFF"), encoded(NOISE, "WEBP"), encoded(NOISE[..., 0])],
    ids=["exif", "tiff", "webp", "grey"],
)
def test_every_format_is_read_as_from_a_file_whatever_it_is_called(
    server: Server, predictor: Predictor, tmp_path: Path, data: bytes
) -> None:
    path = tmp_path / "file.png"
    path.write_bytes(data)
    found = server.predict(data, "notes.npy", format="mask")
    np.testing.assert_array_equal(decoded(found.content), predictor(path).mask)


JPEG = encoded(NOISE, "JPEG")
REFUSED: dict[str, tuple[bytes, int, str]] = {
    "text": (b"hello", 415, "is no image; JPEG, PNG"),
    "gif": (encoded(NOISE[..., 0], "GIF"), 415, "is no image"),
    "empty": (b"", 400, "is empty"),
    "torn jpeg": (JPEG[: len(JPEG) // 2], 400, "truncated"),
    "torn tiff": (encoded(NOISE, "TIFF")[:60], 400, "cannot be decoded"),
    "many pixels": (encoded(np.zeros((400, 400), np.uint8)), 413, "0.2 megapixels; 0.1 are the most"),
    "bomb": (encoded(np.zeros((20000, 10000), bool)), 413, "megapixels"),
    "tiff bomb": (encoded(np.zeros((4000, 4000), np.uint8), "TIFF", compression="tiff_lzw"), 413, "megapixels"),
    "many bytes": (bytes(1_100_000), 413, "larger than 1 MB"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_uploads_are_refused(server: Server, name: str) -> None:
    data, status, words = REFUSED[name]
    found = server.predict(data)
    assert found.status_code == status
    assert words in found.json()["error"]


def test_an_upload_of_unknown_length_is_cut_off(server: Server) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    sent = 0

    def parts() -> object:
        nonlocal sent
        yield head
        for _ in range(300):
            sent += 1
            yield bytes(100_000)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    found = server.client.post("/predict", content=parts(), headers=headers)
    assert found.status_code == 413
    assert server.client.get("/health").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("call", "status", "words"),
    [
        (lambda c: c.post("/predict"), 400, "file: Field required"),
        (lambda c: c.post("/predict", params={"format": "gif", "opacity": 2}, files={"file": b"x"}), 400, "format: Input should be 'json', 'mask' or 'overlay'; opacity"),
        (lambda c: c.post("/predict", files={"file": b"x"}, headers={"Content-Type": "multipart/form-data"}), 400, "boundary"),
        (lambda c: c.get("/nowhere"), 404, "Not Found"),
        (lambda c: c.get("/predict"), 405, "Not Allowed"),
    ],
)  # fmt: skip
def test_bad_requests_are_told(
    server: Server, call: Callable[[httpx.Client], httpx.Response], status: int, words: str
) -> None:
    found = call(server.client)
    assert found.status_code == status
    assert words in found.json()["error"]


def test_info_tells_the_model_and_no_other_site_may_ask(server: Server, predictor: Predictor) -> None:
    found = server.client.get("/info", headers={"Origin": "http://elsewhere"})
    assert "access-control-allow-origin" not in found.headers
    info = found.json()
    assert [c["name"] for c in info["classes"]] == list(predictor.info.names)
    assert (info["checkpoint"], info["head"], info["max_bytes"]) == ("best.pt", "FCN", 1_000_000)
    assert "default-src 'none'" in server.client.get("/").headers["content-security-policy"]


def test_requests_at_once_are_all_answered_while_the_loop_stays_free(
    server: Server, predictor: Predictor, image: Path
) -> None:
    wanted, data = predictor(image).mask, image.read_bytes()
    with ThreadPoolExecutor(WAITING) as pool:
        waiting = [pool.submit(server.predict, data, format="mask") for _ in range(WAITING)]
        assert server.client.get("/health").status_code == 200
        for future in waiting:
            np.testing.assert_array_equal(decoded(future.result().content), wanted)


def test_more_than_can_wait_are_told_to_come_back(server: Server, image: Path) -> None:
    host, port = server.url.removeprefix("http://").strip("/").split(":")
    head = f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 999\r\n\r\n--x"
    deadline = time.monotonic() + 60
    with ExitStack() as stack:
        for _ in range(WAITING):
            stack.enter_context(socket.create_connection((host, int(port)))).sendall(head.encode())
        while (found := server.predict(image.read_bytes())).status_code == 200:
            assert time.monotonic() < deadline
            # One of them was told to come back itself, as a request of an earlier test was still being cleared away.
            stack.enter_context(socket.create_connection((host, int(port)))).sendall(head.encode())
    assert (found.status_code, found.headers["retry-after"]) == (503, "1")
    assert f"busy: {WAITING} predictions" in found.json()["error"]
    while server.predict(image.read_bytes()).status_code != 200:
        assert time.monotonic() < deadline


def test_an_upload_that_stalls_is_ended() -> None:
    async def app(scope: object, receive: Callable[[], object], send: object) -> None:
        while (await receive())["more_body"]:
            pass

    async def stalling() -> dict[str, object]:
        if stalling.calls:
            await asyncio.Event().wait()
        stalling.calls += 1
        return {"type": "http.request", "body": b"x", "more_body": True}

    stalling.calls = 0
    gate = Gate(app, Limits(100, 100, upload_s=0.05))
    with pytest.raises(HTTPException) as refused:
        asyncio.run(gate({"type": "http", "method": "POST", "headers": []}, stalling, None))
    assert refused.value.status_code == 408
    assert gate.inside == 0


def test_what_was_asked_before_the_signal_is_answered_and_a_named_site_may_ask(checkpoint: Path, image: Path) -> None:
    with serving(checkpoint, "--allow-origin", "http://here", end=signal.SIGINT) as server:
        asked = httpx.Request("POST", f"{server.url}predict", files={"file": image.read_bytes()})
        body, head = asked.read(), "".join(f"{name}: {value}\r\n" for name, value in asked.headers.items())
        connection = socket.create_connection((asked.url.host, asked.url.port))
        connection.sendall(f"POST /predict HTTP/1.1\r\n{head}\r\n".encode() + body[:100])
        found = server.client.get("/health", headers={"Origin": "http://here"})
        assert found.headers["access-control-allow-origin"] == "http://here"
        late = threading.Timer(0.5, connection.sendall, [body[100:]])
        late.start()  # after the signal
    late.join()
    with connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK")


def test_mistakes_of_the_command(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def error(*arguments: object) -> str:
        with pytest.raises(SystemExit) as stopped:
            serve.main([str(argument) for argument in arguments])
        assert stopped.value.code == 2
        return capsys.readouterr().err

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert (
            error(checkpoint, "--port", port) == f"error: --port: {port} of 127.0.0.1 is in use; 0 takes a free one\n"
        )
    assert "--host nowhere.invalid --port 8000: cannot listen there" in error(checkpoint, "--host", "nowhere.invalid")
    assert error(checkpoint, "--max-mb", "0", "--port", "70000").count("error:") == 2
    assert "no such checkpoint" in error("nowhere.pt")
    assert "unrecognized" in error(checkpoint, "--prot", "1")
    assert "cannot be changed for a trained model" in error(checkpoint, "head=FCN")
    monkeypatch.setattr(serve, "_PACKAGES", ("os", "not_installed_at_all"))
    assert error(checkpoint) == "error: segkit-serve needs not_installed_at_all: pip install 'segkit[serve]'\n"
