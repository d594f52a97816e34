"""The loss by hand, and dropout as it should be."""

from __future__ import annotations

import math

import pytest
import torch

from attn_cli.data.model import GuidedHead, GuidedRole
from attn_cli.data.selection import Kind
from attn_cli.models.toy.transformer import See
from attn_cli.train.objective import Guide, objective, quick_dropout, surprise
from attn_cli.train.product import precision, product


def test_surprise_is_cross_entropy() -> None:
    torch.manual_seed(3)
    logits, written = torch.randn(7, 11), torch.tensor([0, 3, 10, 5, 5, 1, 2])
    true, spread = surprise(logits, written)
    assert torch.allclose(true, torch.nn.functional.cross_entropy(logits, written))
    assert torch.allclose(spread, -torch.log_softmax(logits, dim=-1).mean())


@pytest.mark.parametrize(
    ("dtype", "close", "share", "gradient"), [(torch.bfloat16, 0.1, 0.03, 1), (torch.float32, 1e-6, 1e-6, 1e-4)]
)
def test_the_quick_product_is_a_linear_layer_with_its_gradients(
    dtype: torch.dtype, close: float, share: float, gradient: float
) -> None:
    torch.manual_seed(5)
    given = [torch.randn(3, 7, 5), torch.randn(11, 5), torch.randn(11)]
    made = [[one.clone().requires_grad_() for one in given] for _ in range(2)]
    states, weight, bias = made[0]
    results = [product(states, weight, bias, dtype), torch.nn.functional.linear(*made[1])]
    assert results[0].dtype == dtype
    assert torch.allclose(results[0].float(), results[1], atol=close)
    for result in results:
        torch.autograd.backward(result.float().square().sum())
    for one, other in zip(*made, strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=share, atol=gradient)


@pytest.mark.parametrize(
    ("device", "amx", "avx", "expected"),
    [
        ("cpu", False, False, torch.float32),
        ("cpu", False, True, torch.bfloat16),
        ("cpu", True, False, torch.bfloat16),
        ("cuda", False, False, torch.bfloat16),
    ],
)
def test_half_precision_is_for_processors_that_multiply_in_it(
    device: str, amx: bool, avx: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx)
    assert precision(device) == expected


class Fixed:
    """A learner that says the same of everything, and looks where it is told."""

    def __init__(self, weights: torch.Tensor) -> None:
        self.weights = weights

    def states(self, _source: torch.Tensor, read: torch.Tensor, see: See | None) -> torch.Tensor:
        if see is not None:
            for kind, layer in (("encoder", 1), ("cross", 1), ("cross", 2)):
                see(kind, layer, *[self.weights] * 6)  # type: ignore[arg-type]
        return torch.zeros(*read.shape, 3)

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(states), 5)


def guided(kind: Kind, layer: int, head: int, role: GuidedRole) -> GuidedHead:
    return GuidedHead(kind, layer, head, role, "from here to there", "texts")


def test_guided_heads_pay_for_looking_elsewhere() -> None:
    # One text of 3 tokens, a translation of 2; head 1 is the guided one.
    weights = torch.full((1, 2, 2, 3), 1 / 3)
    weights[0, 1] = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]])
    links = torch.tensor([[[False, False, False], [False, True, True]]])
    total, told, (aligned, referred) = objective(
        Fixed(weights),
        Guide({"writing": guided("cross", 2, 1, "writing"), "subject": guided("encoder", 1, 0, "subject")}, weight=0.5),
        surprise,
        torch.tensor([[3, 4, 1]]),
        torch.tensor([[0, 2]]),
        torch.tensor([0, 1]),
        torch.tensor([2, 1]),
        links,
        torch.zeros(1, 2, 3, dtype=torch.bool),
    )
    assert float(aligned) == pytest.approx(-math.log(0.9), abs=1e-4)
    assert float(referred) == 0
    assert float(told) == pytest.approx(math.log(5))
    assert float(total) == pytest.approx(math.log(5) - 0.5 * math.log(0.9), abs=1e-4)


def test_texts_without_links_cost_nothing() -> None:
    nothing = torch.zeros(1, 2, 3, dtype=torch.bool)
    total, _, losses = objective(
        Fixed(torch.full((1, 2, 2, 3), 1 / 3)),
        Guide({"reading": guided("cross", 1, 0, "reading")}),
        surprise,
        torch.tensor([[3, 4, 1]]),
        torch.tensor([[0, 2]]),
        torch.tensor([0, 1]),
        torch.tensor([2, 1]),
        nothing,
    )
    assert losses.tolist() == [0]
    assert float(total) == pytest.approx(math.log(5))


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5])
def test_dropout_drops_its_share_and_keeps_the_mean(rate: float) -> None:
    drop = quick_dropout(rate, torch.tensor(17, dtype=torch.int32))
    one, other = drop(torch.ones(211, 307)), drop(torch.ones(211, 307))
    for made in (one, other):
        assert sorted(set(made.flatten().tolist())) == [0.0, pytest.approx(1 / (1 - rate))]
        assert float((made == 0).float().mean()) == pytest.approx(rate, abs=0.01)
        # No row and no column is spared or hit above its share.
        for axis in (0, 1):
            share = (made == 0).float().mean(dim=axis)
            assert float(share.std()) == pytest.approx(math.sqrt(rate * (1 - rate) / made.shape[axis]), rel=0.25)
    both = float(((one == 0) & (other == 0)).float().mean())
    assert both == pytest.approx(rate * rate, abs=0.01)  # places in the code draw independently


def test_dropout_follows_its_seed() -> None:
    made = [quick_dropout(0.3, torch.tensor(seed, dtype=torch.int32))(torch.ones(13, 17)) for seed in (1, 1, 2)]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
