"""Attention of cells to cells."""

import pytest
import torch

from segkit.layers.nonlocal_block import DisentangledNonLocalBlock, NonLocalBlock, NonLocalMode
from segkit.layers.relation import Relation, attend

torch.manual_seed(0)
X = torch.randn(2, 8, 3, 5)
MODES: tuple[NonLocalMode, ...] = ("embeddedgaussian", "gaussian", "dotproduct", "concatenation")


def test_attention_is_its_formula() -> None:
    key, value = torch.randn(2, 8, 4, 1), torch.randn(2, 6, 4, 1)
    weights = (0.5 * torch.einsum("nchw,nck->nhwk", X, key.flatten(2))).softmax(-1)
    expected = torch.einsum("nhwk,nck->nchw", weights, value.flatten(2))
    torch.testing.assert_close(attend(X, key, value, scale=0.5), expected)


def test_a_shared_projection_is_one() -> None:
    relation = Relation(8, 8, 4, 6, shared=True, project=False).eval()
    assert relation.query is relation.key
    assert relation(X, X).shape == (2, 6, 3, 5)


def test_plain_projections_have_neither_bias_nor_norm() -> None:
    relation = Relation(8, 8, 4, 6, num_convs=1, norm=False, value_norm=False)
    assert {name.rpartition(".")[2] for name, _ in relation.named_parameters()} == {"weight"}
    assert {p.ndim for p in relation.parameters()} == {4}


@pytest.mark.parametrize("mode", MODES)
def test_non_local_blocks_keep_the_shape(mode: NonLocalMode) -> None:
    for block in (
        NonLocalBlock(8, 2, "embeddedgaussian" if mode == "gaussian" else mode, scaled=True),
        DisentangledNonLocalBlock(8, 1, mode, scaled=True, temperature=0.5),
    ):
        out = block.train()(X)
        assert out.shape == X.shape
        assert not torch.equal(out, X)


def test_pairs_are_a_layer_on_stacked_pairs() -> None:
    block = NonLocalBlock(8, 2, "concatenation", scaled=False)
    q, k = torch.randn(2, 4, 15), torch.randn(2, 4, 15)
    stacked = torch.cat([q[..., :, None].expand(-1, -1, 15, 15), k[..., None, :].expand(-1, -1, 15, 15)], dim=1)
    torch.testing.assert_close(block._pairs(q, k), block.pair_act(block.pair(stacked))[:, 0])
