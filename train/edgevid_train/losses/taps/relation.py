"""Which clips of a batch are alike: what a student can learn of a teacher without seeing what it sees."""

import torch
from torch import Tensor
from torch.nn import functional


def relation_loss(ours: Tensor, theirs: Tensor, counts: Tensor) -> Tensor:
    """Smooth L1 between distances of two networks' embeddings `(B, D)` and `(B, D')`, mean over pairs of clips.

    Each network's distances are divided by their mean: distance-wise RKD (Park et al. 2019). `counts`: bool `(B,)`, the
    clips to compare. Pairs are those of clips that go through the network together: a batch in parts, or shared out to
    several processes, has fewer of them. With fewer than two clips there is nothing to compare.
    """
    chosen = counts.nonzero().flatten()
    if len(chosen) < 2:
        return ours.new_zeros(()).float()
    one, other = torch.triu_indices(len(chosen), len(chosen), 1, device=chosen.device)
    one, other = chosen[one], chosen[other]
    return functional.smooth_l1_loss(_distances(ours, one, other), _distances(theirs, one, other))


def _distances(x: Tensor, one: Tensor, other: Tensor) -> Tensor:
    # a root has no gradient at zero, where equal clips are
    apart = ((x[one].float() - x[other].float()).square().sum(1) + 1e-12).sqrt()
    return apart / apart.mean()
