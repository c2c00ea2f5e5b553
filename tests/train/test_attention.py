"""Attention rollout: shares of an answer followed back to the places and times that it was read from."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_teacher_kinds import FRAMES, SIDE, TINY_TRANSFORMERS, clips, published, tiny_config
from torch import Tensor, nn

from edgevid.manifest import InputSpec
from edgevid_train.evaluate.looks.attention import attention
from edgevid_train.evaluate.looks.rollout import among_all, over_places, over_time
from edgevid_train.models.teachers.build import build_teacher
from edgevid_train.models.teachers.published import PublishedTeacher
from edgevid_train.models.teachers.tokens import TokenGrid

JOINT = ("videomae", "vivit", "vjepa2")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def teacher_of(kind: str, folder: Path) -> PublishedTeacher:
    """With layer norms that leave every token equally long."""
    teacher = published(tiny_config(kind, folder), 3).requires_grad_(False)
    for module in teacher.modules():
        if isinstance(module, nn.LayerNorm):
            module.bias.zero_()
    return teacher


def grid_of(teacher: PublishedTeacher) -> TokenGrid:
    return TokenGrid.of(teacher.config, teacher.network)


def maps_of(teacher: PublishedTeacher, frames: Tensor, count: int | None = None) -> np.ndarray:
    found = attention(teacher, partial(teacher, frames), count or grid_of(teacher).times)
    assert found is not None
    return found


def heard(teacher: PublishedTeacher, module: nn.Module, frames: Tensor) -> Tensor:
    """What is given to a module."""
    given: list[Tensor] = []
    hook = module.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    teacher(frames)
    hook.remove()
    return given[0]


def focus(query: tuple[Tensor, Tensor], key: tuple[Tensor, Tensor], towards: Tensor | None) -> None:
    """Every token asks for the one that lies `towards`, of tokens that are equally long; without it for none."""
    for weight, bias in (query, key):
        weight.zero_()
        bias.zero_()
    if towards is not None:
        query[1].fill_(1)
        key[0].copy_(1e3 * towards.expand_as(key[0]))


def linear(module: Any) -> tuple[Tensor, Tensor]:
    return module.weight, torch.zeros(1) if module.bias is None else module.bias


def thirds(module: nn.Linear) -> tuple[tuple[Tensor, Tensor], ...]:
    return tuple(zip(module.weight.chunk(3), module.bias.chunk(3), strict=True))


@pytest.mark.parametrize("kind", ["videomae", "vivit"])
@pytest.mark.parametrize("place", [(1, 1, 0), (0, 0, 1)])
def test_of_an_attention_to_one_token_the_map_is_that_token(
    kind: str, place: tuple[int, int, int], tmp_path: Path
) -> None:
    teacher = teacher_of(kind, tmp_path)
    grid, frames = grid_of(teacher), clips(1, teacher.config)
    assert (grid.times, grid.rows, grid.columns) == (2, 2, 2)
    token = int(np.ravel_multi_index(place, grid[:3])) + (kind == "vivit")
    if kind == "videomae":
        layers = [part.attention.attention for part in teacher.network.videomae.encoder.layer]
        parts = [(part.query, part.key) for part in layers]
    else:
        parts = [(part.attention.q_proj, part.attention.k_proj) for part in teacher.network.vivit.layers]
    for query, key in parts:
        focus(linear(query), linear(key), heard(teacher, key, frames)[0, token].clone())
    expected = np.zeros(grid[:3], np.float32)
    expected[place] = 1
    np.testing.assert_allclose(maps_of(teacher, frames), expected, atol=1e-5)

    by_frame = maps_of(teacher, frames, FRAMES)  # two to a token
    assert by_frame.shape == (FRAMES, 2, 2)
    assert set(np.argsort(by_frame[:, place[1], place[2]])[-2:]) == {2 * place[0], 2 * place[0] + 1}


def test_of_an_attentive_pooler_that_asks_for_one_token_the_map_is_that_token(tmp_path: Path) -> None:
    teacher = teacher_of("vjepa2", tmp_path)
    grid, frames, place = grid_of(teacher), clips(1, teacher.config), (1, 0, 1)
    network = teacher.network
    for part in (layer.attention for layer in network.vjepa2.encoder.layer):
        focus(linear(part.query), linear(part.key), None)
    pooler = network.pooler
    for part in (layer.self_attn for layer in pooler.self_attention_layers):
        focus(linear(part.q_proj), linear(part.k_proj), None)
    reader = pooler.cross_attention_layer.cross_attn
    token = heard(teacher, reader.k_proj, frames)[0, int(np.ravel_multi_index(place, grid[:3]))]
    focus(linear(reader.q_proj), linear(reader.k_proj), token.clone())
    expected = np.zeros(grid[:3], np.float32)
    expected[place] = 1
    np.testing.assert_allclose(maps_of(teacher, frames), expected, atol=1e-5)


def test_attention_over_time_and_then_over_places_finds_both(tmp_path: Path) -> None:
    teacher = teacher_of("timesformer", tmp_path)
    frames = clips(1, teacher.config)
    frames[:] = frames[:, :1]  # a clip at rest: its times differ in their embeddings alone
    teacher.network.timesformer.embeddings.time_embeddings.normal_(0, 0.3)
    time, place = 2, 1
    for layer in teacher.network.timesformer.encoder.layer:
        query, key, _ = thirds(layer.temporal_attention.attention.qkv)
        given = heard(teacher, layer.temporal_attention.attention.qkv, frames)  # (places, T, C)
        focus(query, key, given[place, time].clone())
        assert int((given[place] @ given[place, time]).argmax()) == time
        query, key, _ = thirds(layer.attention.attention.qkv)
        given = heard(teacher, layer.attention.attention.qkv, frames)  # (T, 1 + places, C)
        towards = given[:, 1 + place].mean(0)
        assert ((given @ towards).argmax(1) == 1 + place).all()
        focus(query, key, towards)
    # the class token has a quarter left; of each layer half stays where it is, and half of time's goes to one time
    shares = np.zeros((FRAMES, 2, 2))
    shares[:, 0, 1] = 0.25 / FRAMES
    shares[time, 0, 1] += 0.5
    above = np.maximum(shares / shares.mean() - 1, 0)
    np.testing.assert_allclose(maps_of(teacher, frames), above / above.max(), atol=1e-5)


@pytest.mark.parametrize("kind", JOINT)
def test_it_is_the_product_of_all_layers_that_the_library_gives(kind: str, tmp_path: Path) -> None:
    teacher = teacher_of(kind, tmp_path)
    network, grid, frames = teacher.network, grid_of(teacher), clips(1, teacher.config)
    with torch.no_grad():
        for name, parameter in network.named_parameters():  # attention that differs from token to token
            if any(part in name for part in ("query", "key", "q_proj", "k_proj")) and name.endswith("weight"):
                parameter.normal_(0, 0.5)
    if kind == "vjepa2":  # its encoder's alone are given: the pooler asks for no token in particular
        for part in (
            network.pooler.self_attention_layers[0].self_attn,
            network.pooler.cross_attention_layer.cross_attn,
        ):
            focus(linear(part.q_proj), linear(part.k_proj), None)
    fused = network.config._attn_implementation
    assert fused != "eager"
    found = maps_of(teacher, frames)
    assert network.config._attn_implementation == fused

    network.set_attn_implementation("eager")
    layers = network(teacher.arrange(teacher.normal(frames)), output_attentions=True).attentions
    assert len(layers) == 2
    tokens = layers[0].shape[-1]
    product = torch.eye(tokens)
    for weights in layers:
        product = (weights[0].mean(0) + torch.eye(tokens)) / 2 @ product
    if kind == "vjepa2":
        product = (torch.full((tokens, tokens), 1 / tokens) + torch.eye(tokens)) / 2 @ product
    row = (product[0] if kind == "vivit" else product.mean(0))[-grid.total :]
    above = (row / row.mean() - 1).relu().reshape(grid[:3])
    assert above.max() > 0.02
    np.testing.assert_allclose(found, above / above.max(), atol=1e-4)


def test_shares_go_back_as_tokens_went_forward() -> None:
    """What a layer does to one number a token, as TimeSformer lays its tokens out, times shares: the same both ways."""
    places, times = 3, 4
    tokens, shares = torch.rand(1 + places * times), torch.rand(1 + places * times)
    in_time = torch.rand(places, times, times).softmax(-1)
    in_place = torch.rand(times, 1 + places, 1 + places).softmax(-1)

    moved = torch.einsum("ptu,pu->pt", in_time, tokens[1:].reshape(places, times)).flatten()
    after = torch.cat([tokens[:1], (tokens[1:] + moved) / 2])
    assert torch.allclose(over_time(in_time)(shares) @ tokens, shares @ after)

    framed = torch.cat([tokens[:1].expand(times, 1), tokens[1:].reshape(places, times).T], 1)
    moved = torch.einsum("tpq,tq->tp", in_place, framed)
    after = (tokens + torch.cat([moved[:, 0].mean()[None], moved[:, 1:].T.flatten()])) / 2
    assert torch.allclose(over_places(in_place)(shares) @ tokens, shares @ after)

    everywhere = torch.rand(13, 13).softmax(-1)
    assert torch.allclose(among_all(everywhere)(shares) @ tokens, shares @ (tokens + everywhere @ tokens) / 2)
    for layer in (over_time(in_time), over_places(in_place), among_all(everywhere)):
        assert layer(shares).sum() == pytest.approx(shares.sum())


@pytest.mark.parametrize("kind", list(TINY_TRANSFORMERS))
def test_who_attends_to_all_alike_looks_nowhere(kind: str, tmp_path: Path) -> None:
    teacher = teacher_of(kind, tmp_path)
    for name, parameter in teacher.named_parameters():
        if any(part in name for part in ("query.", "q_proj.", "qkv.")):
            parameter.zero_()
    assert not maps_of(teacher, clips(1, teacher.config)).any()


@pytest.mark.parametrize("kind", ["tsm", "mvit"])
def test_what_does_not_attend_from_token_to_token_has_no_such_map(kind: str, tmp_path: Path) -> None:
    teacher = build_teacher(tiny_config(kind, tmp_path, input=InputSpec(height=SIDE, width=SIDE)), 3).eval()
    assert attention(teacher, partial(teacher, clips(1, teacher.config)), FRAMES) is None
