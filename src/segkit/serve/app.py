"""The web application: pages and answers around one predictor."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, File, HTTPException, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse, JSONResponse, Response
from PIL import Image
from starlette.exceptions import HTTPException as AnyHTTPException

import segkit
from segkit.errors import SegkitError
from segkit.inference.drawing import mask_classes
from segkit.inference.prediction import Prediction
from segkit.inference.predictor import Predictor
from segkit.serve.limits import Gate, Limits
from segkit.serve.upload import FORMATS, read_upload

T = TypeVar("T")

_PAGE = Path(__file__).with_name("page.html")
_PAGE_HEADERS = {  # nothing from elsewhere is loaded, nothing is sent elsewhere
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


class Answer(StrEnum):
    """What ``/predict`` gives."""

    json = "json"
    mask = "mask"
    overlay = "overlay"


class Masks(StrEnum):
    """How the JSON holds the mask."""

    png = "png"
    rle = "rle"
    none = "none"


class Worker:
    """Runs one thing at a time, in a thread of its own, so that the event loop stays free."""

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="segkit")  # one: torch keeps threads for each caller
        self.turn = asyncio.Lock()

    async def run(self, request: Request, work: Callable[[], T]) -> T:
        """What ``work`` returns.

        Raises:
            HTTPException: 400 where the client has gone before its turn came; nothing is done then.
        """
        async with self.turn:
            if await request.is_disconnected():
                raise HTTPException(400, "the client has gone")
            return await asyncio.get_running_loop().run_in_executor(self.thread, work)


def create_app(predictor: Predictor, facts: dict[str, Any], limits: Limits, *, origins: Sequence[str] = ()) -> FastAPI:
    """The application.

    Args:
        predictor: what answers.
        facts: of the model, for ``/info``.
        limits: of a request.
        origins: web sites whose pages may ask; none by default.
    """
    worker = Worker()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        worker.thread.shutdown()

    app = FastAPI(  # its own pages of documentation would load scripts from elsewhere
        title="segkit", version=segkit.__version__, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.add_middleware(Gate, limits=limits)
    if origins:
        app.add_middleware(CORSMiddleware, allow_origins=origins, allow_methods=["GET", "POST"])
    _tell_errors(app)

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(_PAGE.read_text(encoding="utf-8"), headers=_PAGE_HEADERS)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the server answers."""
        return {"status": "ok"}

    @app.get("/info")
    async def info() -> dict[str, Any]:
        """The model, its classes, and what an upload may be."""
        return facts | _info(predictor, limits)

    @app.post("/predict", response_class=Response)
    async def predict(
        request: Request,
        file: Annotated[UploadFile, File(description="an image")],
        answer: Annotated[
            Answer, Query(alias="format", description="JSON, a PNG of class ids, or a JPEG")
        ] = Answer.json,
        mask: Annotated[Masks, Query(description="of the JSON: a PNG in base64, COCO's RLE, or none")] = Masks.png,
        opacity: Annotated[float, Query(ge=0, le=1, description="of the overlay's colours")] = 0.5,
    ) -> Response:
        """Segments an image."""
        data = await file.read()
        return await worker.run(request, lambda: _predict(predictor, data, limits, _writer(answer, mask, opacity)))

    return app


Writer = Callable[[Prediction, float], Response]


def _writer(answer: Answer, mask: Masks, opacity: float) -> Writer:
    if answer is Answer.mask:
        return lambda result, seconds: Response(_encoded(result.mask_image(), "PNG"), media_type="image/png")
    if answer is Answer.overlay:
        return lambda result, seconds: Response(
            _encoded(Image.fromarray(result.overlay(opacity)), "JPEG", quality=92), media_type="image/jpeg"
        )
    return lambda result, seconds: JSONResponse(_described(result, mask) | {"seconds": round(seconds, 4)})


def _predict(predictor: Predictor, data: bytes, limits: Limits, write: Writer) -> Response:
    pixels = read_upload(data, predictor.config.dataset, limits.max_pixels)
    began = time.perf_counter()
    try:
        (result,) = predictor.predict([predictor.read(pixels)])
    except SegkitError as error:  # not enough memory for it, or pixels of a kind that the model does not know
        raise HTTPException(400, str(error)) from None
    return write(result, time.perf_counter() - began)


def _described(result: Prediction, mask: Masks) -> dict[str, Any]:
    """Size, the classes that are seen, the largest first, and the mask."""
    height, width = result.mask.shape
    colors = dict(zip(result.classes, result.palette, strict=True))
    ids = {name: index for index, name in enumerate(result.classes)}
    classes = [
        {"id": ids[name], "name": name, "color": colors[name], "share": share}
        for name, share in result.shares().items()
    ]
    found: dict[str, Any] = {"width": width, "height": height, "classes": classes}
    if mask is Masks.png:
        found["mask"] = base64.b64encode(_encoded(result.mask_image(), "PNG")).decode()
    elif mask is Masks.rle:
        found["segments"] = result.coco()
    return found


def _info(predictor: Predictor, limits: Limits) -> dict[str, Any]:
    shown, dataset = mask_classes(predictor.info), predictor.config.dataset
    return {
        "classes": [
            {"id": index, "name": name, "color": color}
            for index, (name, color) in enumerate(zip(shown.names, shown.palette, strict=True))
        ],
        "device": str(predictor.device),
        "channels": dataset.image_channels,
        "apply_exif": dataset.apply_exif,
        "formats": FORMATS,
        "max_bytes": limits.max_bytes,
        "max_pixels": limits.max_pixels,
        "version": segkit.__version__,
    }


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _tell_errors(app: FastAPI) -> None:
    """Every error is ``{"error": text}``; those of our own are told in the log, with their traceback, and not here."""

    @app.exception_handler(AnyHTTPException)
    async def refused(request: Request, error: AnyHTTPException) -> JSONResponse:
        closing = {"Connection": "close"} if error.status_code in (408, 413) else {}  # the rest was not read
        return JSONResponse({"error": error.detail}, error.status_code, {**(error.headers or {}), **closing})

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        told = [f"{'.'.join(map(str, e['loc'][1:])) or 'body'}: {e['msg']}" for e in error.errors()]
        return JSONResponse({"error": "; ".join(told)}, 400)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": "internal error; the server's log tells more"}, 500)
