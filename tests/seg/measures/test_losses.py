"""Losses against numbers worked out by hand, another library, and each other."""

import numpy as np
import pytest
import torch
from seg.checks import raises

from zoo_opt_seg.measures.losses import LOSSES, LossError, bce_dice, bce_loss, black_box_loss, dice_loss


def pair(n: int = 4, side: int = 9, seed: int = 0):
    rng = np.random.default_rng(seed)
    return rng.random((n, side, side), np.float32), rng.random((n, side, side)) < 0.3


def tensors(p, y):
    return torch.from_numpy(p), torch.from_numpy(y)


def test_by_hand():
    p = torch.tensor([[[1.0, 0.5], [0.0, 0.0]], [[0.25, 0.25], [0.25, 0.25]]])
    y = torch.tensor([[[1, 1], [0, 0]], [[0, 0], [0, 1]]])
    # 2 * 1.5 / (1.5 + 2) and 2 * .25 / (1 + 1)
    np.testing.assert_allclose(dice_loss(p, y, "none"), [1 - 6 / 7, 0.75], rtol=1e-5)
    assert float(dice_loss(p, y)) == pytest.approx((1 / 7 + 0.75) / 2, rel=1e-5)
    assert float(dice_loss(p, y, "batch")) == pytest.approx(1 - 2 * 1.75 / (2.5 + 3), rel=1e-5)
    second = -(3 * np.log(0.75) + np.log(0.25)) / 4
    np.testing.assert_allclose(bce_loss(p, y, "none"), [-np.log(0.5) / 4, second], rtol=1e-4)


def test_against_monai_and_torch():
    from monai import losses

    p, y = tensors(*pair())
    theirs = losses.DiceLoss(smooth_nr=1e-6, smooth_dr=1e-6)(p[:, None], y[:, None].float())
    torch.testing.assert_close(dice_loss(p, y), theirs)
    batch = losses.DiceLoss(batch=True, smooth_nr=1e-6, smooth_dr=1e-6)(p[:, None], y[:, None].float())
    torch.testing.assert_close(dice_loss(p, y, "batch"), batch)
    torch.testing.assert_close(bce_loss(p, y), torch.nn.functional.binary_cross_entropy(p, y.float()))
    torch.testing.assert_close(bce_dice(p, y), dice_loss(p, y) + bce_loss(p, y))


def test_smoothing_as_released_with_baps():
    p, y = tensors(*pair())
    released = 1 - (2 * (p * y).sum() + 1) / ((p + y).sum() + 1)  # one ratio over the batch
    torch.testing.assert_close(dice_loss(p, y, "batch", 1.0), released)
    assert black_box_loss("dice", p.numpy(), y.numpy(), "batch", 1.0) == float(dice_loss(p, y, "batch", 1.0))
    torch.testing.assert_close(bce_dice(p, y, "batch", 1.0), bce_loss(p, y) + released)


@pytest.mark.parametrize("loss", LOSSES)
def test_best_worst_and_empty(loss):
    _, y = tensors(*pair())
    f = LOSSES[loss]
    assert 0 <= float(f(y.float(), y, "image")) < 1e-5
    assert 1 <= float(f(1 - y.float(), y, "image")) < 16  # finite at probabilities of exactly 0 and 1
    nothing = torch.zeros(2, 5, 5)
    assert 0 <= float(f(nothing, nothing, "image")) < 1e-5
    assert float(f(torch.ones(2, 5, 5), nothing, "image")) > 0.99


@pytest.mark.parametrize("reduction", ["image", "batch"])
@pytest.mark.parametrize("loss", LOSSES)
def test_black_box_side_is_the_same(loss, reduction):
    p, y = pair()
    assert black_box_loss(loss, p, y, reduction) == float(LOSSES[loss](*tensors(p, y), reduction))


def test_gradient():
    p, y = tensors(*pair())
    p = p.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: bce_dice(p, y), p)
    edge = torch.tensor([[[0.0, 1.0]]], requires_grad=True)
    bce_dice(edge, torch.tensor([[[True, False]]])).backward()
    assert torch.isfinite(edge.grad).all()


def test_hard_masks_have_dice_only():
    _, y = pair()
    assert black_box_loss("dice", y, y) == pytest.approx(0, abs=1e-6)
    assert black_box_loss("dice", ~y, y) == pytest.approx(1, abs=1e-6)
    assert black_box_loss("bce+dice", ~y, y) == black_box_loss("dice", ~y, y)
    with pytest.raises(LossError, match=r"^loss must be 'dice' or 'bce\+dice' for a black box that returns hard masks"):
        black_box_loss("bce", y, y)


def test_errors():
    p, y = pair()
    raises(ValueError, r"^loss must be one of bce\+dice, dice, bce, got 'focal'", black_box_loss, "focal", p, y)
    raises(ValueError, r"^reduction must be 'image', 'batch' or 'none', got 'sum'", dice_loss, *tensors(p, y), "sum")
    raises(ValueError, r"^probabilities and masks must have the same shape", black_box_loss, "dice", p[:2], y)
    raises(TypeError, r"^probabilities must be floating point, got torch\.bool", dice_loss, *tensors(y, y))
