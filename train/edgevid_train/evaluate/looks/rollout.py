"""Attention rollout (Abnar and Zuidema 2020): of which tokens of a clip a transformer's answer is made.

Of what a layer gives, half is the token that it was given, and half are the tokens that this one attends to, by the
mean over heads. Followed from the answer back to the clip that is one row of the product of all layers, so it takes a
vector through each of them, where the whole product would take a matrix.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Layer = Callable[[Tensor], Tensor]
"""Shares `(tokens,)` in an answer of what a layer gives -> of what it was given. Their sum stays."""


def among_all(attention: Tensor) -> Layer:
    """Every token attends to every one: `(tokens, tokens)`."""
    return lambda shares: (shares + shares @ attention) / 2


def over_time(attention: Tensor) -> Layer:
    """`(places, T, T)`: each place attends to itself at other times; the class token stays as it is.

    Tokens as TimeSformer has them (Bertasius et al. 2021): a class token, then all times of the first place.
    """

    def back(shares: Tensor) -> Tensor:
        placed = shares[1:].reshape(attention.shape[:2])
        attended = torch.einsum("pt,ptu->pu", placed, attention)
        return torch.cat([shares[:1], ((placed + attended) / 2).flatten()])

    return back


def over_places(attention: Tensor) -> Layer:
    """`(T, 1 + places, 1 + places)`: the places of each time and the class token attend to each other.

    Tokens as in `over_time`; the class token becomes the mean of what it is at every time.
    """

    def back(shares: Tensor) -> Tensor:
        times = len(attention)
        placed = torch.cat([shares[:1].expand(times, 1) / times, shares[1:].reshape(-1, times).T], 1)
        attended = torch.einsum("tp,tpq->tq", placed, attention)
        return (shares + torch.cat([attended[:, 0].sum()[None], attended[:, 1:].T.flatten()])) / 2

    return back
