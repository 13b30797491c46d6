"""The windows of sliding inference."""

import pytest
import torch

from segkit.ops.windows import Window, covered, window_profile, window_starts, windows


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
    seen = set()
    for window in windows(size, crop, stride):
        assert (window.height, window.width) == (min(crop[0], size[0]), min(crop[1], size[1]))
        assert 0 <= window.top < window.bottom <= size[0]
        assert 0 <= window.left < window.right <= size[1]
        seen |= {(y, x) for y in range(window.top, window.bottom) for x in range(window.left, window.right)}
    assert len(seen) == size[0] * size[1]


@pytest.mark.parametrize("blend", ["uniform", "gaussian", "hann"])
@pytest.mark.parametrize(("length", "crop", "stride"), [(50, 16, 11), (16, 16, 16), (7, 16, 4), (33, 8, 5), (9, 1, 1)])
def test_what_windows_count_adds_up(blend: str, length: int, crop: int, stride: int) -> None:
    profile = window_profile(min(crop, length), blend)
    assert (profile > 0).all()
    torch.testing.assert_close(profile, profile.flip(0))
    sums = torch.zeros(length)
    for start in window_starts(length, crop, stride):
        sums[start : start + len(profile)] += profile
    torch.testing.assert_close(covered(length, crop, stride, blend), sums)


def test_the_middle_of_a_window_counts_most() -> None:
    assert window_profile(8, "uniform").tolist() == [1.0] * 8
    for blend in ("gaussian", "hann"):
        half = window_profile(8, blend)[:4]
        assert (half.diff() > 0).all()
    torch.testing.assert_close(window_profile(3, "hann"), torch.tensor([0.25, 1.0, 0.25]))


def test_windows_overlap_where_both_are() -> None:
    assert Window(2, 3, 10, 10).overlap(Window(5, 0, 10, 6)) == Window(5, 3, 7, 3)
    assert Window(0, 0, 4, 4).overlap(Window(6, 1, 4, 4)).height == 0
