"""Padding to whole windows, and back."""

import pytest
import torch

from segkit.ops.sizes import joined_windows, pad_cells_to_whole, pad_to_whole, whole, windows_of


@pytest.mark.parametrize(("length", "side", "wanted"), [(1, 4, 4), (4, 4, 4), (5, 4, 8), (7, 1, 7), (13, 7, 14)])
def test_lengths_are_rounded_up(length: int, side: int, wanted: int) -> None:
    assert whole(length, side) == wanted


def test_zeros_lie_at_the_bottom_and_the_right() -> None:
    x = torch.ones(1, 2, 3, 5)
    padded = pad_to_whole(x, (2, 4))
    assert padded.shape == (1, 2, 4, 8)
    assert torch.equal(padded[:, :, :3, :5], x)
    assert float(padded.sum()) == float(x.sum())
    assert torch.equal(pad_cells_to_whole(x.movedim(1, -1), (2, 4)), padded.movedim(1, -1))


def test_windows_are_blocks_of_cells_in_rows() -> None:
    x = torch.arange(24).view(1, 4, 6, 1)
    windows = windows_of(x, (2, 3))
    assert windows.shape == (1, 2, 2, 6, 1)
    assert windows[0, 0, 1, :, 0].tolist() == [3, 4, 5, 9, 10, 11]
    assert torch.equal(joined_windows(windows, (2, 3)), x)
