"""From a set of masks to scores of classes."""

import torch
from torch import Tensor

from segkit.ops.resize import resize


def class_scores(
    class_logits: Tensor, mask_logits: Tensor, *, size: tuple[int, int] | None, align_corners: bool
) -> Tensor:
    """Each pixel's masks vote for their classes (Cheng et al., 2021, arXiv:2107.06278).

    Args:
        class_logits: (N, Q, K + 1), of which the last, "no object", has no vote.
        mask_logits: (N, Q, h, w).
        size: (height, width) that the masks are resized to; None leaves them.
        align_corners: how.

    Returns:
        (N, K, height, width) sums over queries of P(class) P(in mask), 0 and more; of one class (K = 1) the logit of
        that, as a sigmoid and not a comparison decides there.
    """
    masks = mask_logits if size is None else resize(mask_logits.float(), size, align_corners=align_corners)
    probs = class_logits.softmax(dim=2)[:, :, :-1].to(masks.dtype)
    scores = torch.einsum("nqk,nqhw->nkhw", probs, masks.sigmoid())
    return scores.clamp(max=1).logit(eps=1e-6) if scores.shape[1] == 1 else scores
