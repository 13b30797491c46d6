"""The page in a real browser: an image in, its classes on top; nothing from elsewhere."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.browser import Page, browser
from support.serving import Server

from segkit.inference.predictor import Predictor

SHOWN = "!document.querySelector('#found').hidden && document.querySelector('#busy').hidden"
PAINTED = "document.querySelector('#overlay').getContext('2d').getImageData(0, 0, 60, 40).data.join()"


@pytest.fixture(scope="module")
def page(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as page:
        page.open(server.url)
        page.wait("document.querySelectorAll('#classes li').length > 0")
        yield page
        assert page.told == []
        assert [url for url in page.requested if not url.startswith((server.url, "data:", "blob:"))] == []


def text(page: Page, selector: str) -> str:
    return str(page.value(f"document.querySelector('{selector}').innerText"))


def test_the_page_names_the_model(page: Page, predictor: Predictor) -> None:
    assert "best.pt · FCN, TIMMBackbone" in text(page, "#model")
    names = page.value("[...document.querySelectorAll('#classes .name')].map(e => e.textContent)")
    assert names == list(predictor.info.names)


@pytest.mark.parametrize("way", ["chosen", "dropped"])
def test_an_image_is_shown_under_its_classes(page: Page, predictor: Predictor, image: Path, way: str) -> None:
    wanted = predictor(image)
    page.value("document.querySelector('#found').hidden = true")
    if way == "chosen":
        page.choose("#file", image)
    else:
        page.drop(image, 400, 300)
    page.wait(SHOWN)
    assert text(page, "#name") == "waves.png"
    names = page.value("[...document.querySelectorAll('#legend .name')].map(e => e.textContent)")
    assert names == list(wanted.shares())
    painted = np.fromstring(page.value(PAINTED), np.uint8, sep=",").reshape(40, 60, 4)
    np.testing.assert_array_equal(painted[..., :3], wanted.colors())
    data = page.value("document.querySelector('#mask').href").removeprefix("data:image/png;base64,")
    with Image.open(io.BytesIO(base64.b64decode(data))) as mask:
        np.testing.assert_array_equal(np.array(mask), wanted.mask)


def test_a_format_that_browsers_do_not_show_is_shown_by_the_server(page: Page, image: Path, tmp_path: Path) -> None:
    path = tmp_path / "waves.tif"
    with Image.open(image) as picture:
        picture.save(path)
    page.choose("#file", path)
    page.wait("document.querySelector('#name').textContent === 'waves.tif' && document.querySelector('#busy').hidden")
    assert page.value("document.querySelector('#picture').naturalWidth") == 60


def test_opacity_and_errors(page: Page, image: Path, tmp_path: Path) -> None:
    page.choose("#file", image)
    page.wait(SHOWN)
    page.value("Object.assign(document.querySelector('#opacity'), {value: 25}).dispatchEvent(new Event('input'))")
    assert page.value("document.querySelector('#overlay').style.opacity") == "0.25"
    (tmp_path / "notes.png").write_text("no image")
    page.choose("#file", tmp_path / "notes.png")
    page.wait("!document.querySelector('#error').hidden")
    assert "is no image" in text(page, "#error")
    page.told.clear()  # the browser notes the refusal
    (tmp_path / "large.png").write_bytes(bytes(1_100_000))
    page.choose("#file", tmp_path / "large.png")
    page.wait("document.querySelector('#error').innerText.startsWith('large.png has 1.1 MB; 1 are the most')")
