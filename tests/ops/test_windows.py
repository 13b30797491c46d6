"""The windows of sliding inference."""

import pytest

from segkit.ops.windows import window_starts, windows


@pytest.mark.parametrize(
    ("length", "crop", "stride", "starts"),
    [
        (70, 32, 21, [0, 21, 38]),  # the last is shifted back
        (74, 32, 21, [0, 21, 42]),  # it fits as it is
        (75, 32, 21, [0, 21, 42, 43]),
        (32, 32, 21, [0]),
        (20, 32, 21, [0]),
        (70, 10, 10, [0, 10, 20, 30, 40, 50, 60]),
    ],
)
def test_starts(length: int, crop: int, stride: int, starts: list[int]) -> None:
    assert window_starts(length, crop, stride) == starts


@pytest.mark.parametrize("size", [(1, 1), (7, 50), (33, 20), (64, 64)])
@pytest.mark.parametrize(("crop", "stride"), [((16, 24), (11, 24)), ((8, 8), (1, 5)), ((100, 4), (30, 3))])
def test_windows_have_one_size_and_cover_the_image(
    size: tuple[int, int], crop: tuple[int, int], stride: tuple[int, int]
) -> None:
    covered = set()
    for window in windows(size, crop, stride):
        assert (window.height, window.width) == (min(crop[0], size[0]), min(crop[1], size[1]))
        assert 0 <= window.top < window.bottom <= size[0]
        assert 0 <= window.left < window.right <= size[1]
        covered |= {(y, x) for y in range(window.top, window.bottom) for x in range(window.left, window.right)}
    assert len(covered) == size[0] * size[1]
