"""Values at points, and points in doubt."""

import pytest
import torch

from segkit.ops.points import cell_centres, class_doubt, doubtful_points, draw_points, labels_at, values_at


def test_centres_of_cells_give_the_cells() -> None:
    maps = torch.randn(2, 3, 4, 5)
    points = cell_centres(torch.arange(20).expand(2, -1), (4, 5))
    torch.testing.assert_close(values_at(maps, points), maps.flatten(2))
    labels = torch.randint(0, 256, (2, 4, 5))
    assert torch.equal(labels_at(labels, points), labels.flatten(1))


def test_between_cells_values_are_mixed_and_beyond_the_map_is_zero() -> None:
    maps = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    points = torch.tensor([[[0.5, 0.5], [0.0, 0.25], [0.5, 0.25]]])
    torch.testing.assert_close(values_at(maps, points), torch.tensor([[[1.5, 0.0, 0.5]]]))
    corners = torch.tensor([[[0.0, 0.0], [1.0, 1.0]]])
    torch.testing.assert_close(values_at(maps, corners, align_corners=True), torch.tensor([[[0.0, 3.0]]]))
    assert labels_at(torch.tensor([[[7, 8], [9, 255]]]), corners).tolist() == [[7, 255]]


def test_doubt_is_the_margin_of_the_likeliest() -> None:
    logits = torch.tensor([[[1.0, 5.0], [4.0, 5.0], [2.0, 0.0]]])
    assert class_doubt(logits).tolist() == [[-2.0, 0.0]]
    assert class_doubt(torch.tensor([[[-3.0, 0.5]]])).tolist() == [[-3.0, -0.5]]


@pytest.mark.parametrize("importance", [0.0, 0.75, 1.0])
def test_most_points_are_the_most_doubtful_candidates(importance: float) -> None:
    logits = torch.linspace(-4, 4, 64).expand(2, 1, 8, 64)  # in doubt along the middle
    torch.manual_seed(0)
    draw = draw_points(2, 40, 3.0, importance, logits.device)
    points = doubtful_points(logits, class_doubt, draw)
    assert points.shape == (2, 40, 2)
    chosen = int(40 * importance)
    doubt = class_doubt(values_at(logits, draw.candidates)).sort(dim=1, descending=True).values
    torch.testing.assert_close(class_doubt(values_at(logits, points))[:, :chosen], doubt[:, :chosen])
    assert torch.equal(points[:, chosen:], draw.anywhere)
    torch.manual_seed(0)
    again = doubtful_points(logits, class_doubt, draw_points(2, 40, 3.0, importance, logits.device))
    assert torch.equal(points, again)
