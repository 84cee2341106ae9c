"""Drawing prompts: points as ever, texts by (seed, row), and who is asked by what."""

import re
from dataclasses import replace

import numpy as np
import pytest
from seg.checks import raises, refused
from seg.prompt_fakes import Recorded
from seg.small import disc_splits, discs

from zoo_opt_seg import Objective, Prompts, evaluate
from zoo_opt_seg.adaptation.plan import fingerprint
from zoo_opt_seg.blackbox import Budgeted, Cached, Hardened, Quantized, as_black_box
from zoo_opt_seg.data import Samples, centre_points, random_points
from zoo_opt_seg.data.draws import draw_prompts, kind_for
from zoo_opt_seg.measures.metrics import dice
from zoo_opt_seg.measures.trivial import Disk, baselines, best_disk
from zoo_opt_seg.visual_prompts import FilterPrompt

KEYS = (("disc", "a disc"), ("bright",), ("the bright disc", "one bright disc", "what is bright"))


def told(n: int = 6, seed: int = 1) -> Samples:
    samples = discs(n, seed)
    return Samples(samples.images, samples.masks, samples.names, (KEYS,) * n)


def spy(prompted_by):
    return Recorded(lambda images, prompts: np.full(images.shape[:3], 0.6, np.float32), prompted_by=prompted_by)


def test_points_are_those_of_data_points():
    samples = told()
    for kind, same in (
        ("random", random_points(samples.masks, (3, 1))),
        (1, random_points(samples.masks, (3, 1))),
        (np.int64(2), random_points(samples.masks, (3, 1), 2)),
        ("centre", centre_points(samples.masks)),
    ):
        np.testing.assert_array_equal(draw_prompts(kind, samples, (3, 1)).points, same.points)
    for kind in ("centre", "box", "text", lambda masks, seed: random_points(masks, seed)):
        with pytest.raises(ValueError, match="points must be 1 per mask where they are not random, got 2"):
            evaluate(spy(None), samples, draw=kind, points=2)
    part = draw_prompts("random", samples[[4, 1]], 9, [4, 1])
    np.testing.assert_array_equal(part.points, random_points(samples.masks, 9).points[[4, 1]])
    asked = []
    draw_prompts(lambda masks, seed: asked.append((masks.shape, seed)), samples, [1, 2])
    assert asked == [(samples.masks.shape, [1, 2])]


def test_texts_are_a_function_of_seed_and_row():
    samples = told(40)
    drawn = draw_prompts("text", samples, (5, 2)).texts
    assert drawn == draw_prompts("text", samples, [5, 2]).texts
    assert drawn != draw_prompts("text", samples, (5, 3)).texts != draw_prompts("text", samples, 5).texts
    assert draw_prompts("text", samples[:7], (5, 2)).texts == drawn[:7]
    assert draw_prompts("text", samples[[30, 2]], (5, 2), [30, 2]).texts == (drawn[30], drawn[2])


def test_kinds_of_text_are_equally_likely_and_so_are_the_strings_of_one():
    drawn = np.array(draw_prompts("text", told(2000), 0).texts)
    for kind in KEYS:
        for text in kind:
            share, p = (drawn == text).mean(), 1 / len(KEYS) / len(kind)
            assert abs(share - p) < 5 * (p * (1 - p) / 2000) ** 0.5


def test_texts_go_with_their_samples():
    samples = discs(3, 1)
    assert samples.texts is None and samples[1:].texts is None
    named = Samples(samples.images, samples.masks, samples.names, [[["a"]], [["b"], ("c", "d")], [["e"]]])
    assert named.texts == ((("a",),), (("b",), ("c", "d")), (("e",),))
    assert named[1:].texts == named.texts[1:] and named[[2, 0]].texts == (named.texts[2], named.texts[0])
    assert named[np.array([False, True, False])].texts == named.texts[1:2]
    assert samples.with_texts("x", "y").texts == ((("x", "y"),),) * 3
    splits = disc_splits().with_texts("x")
    assert [part.texts[0] for part in (splits.train, splits.validation, splits.test)] == [(("x",),)] * 3


test_wrong_texts = refused(
    lambda texts: replace(discs(3, 1), texts=texts),
    ("abc", ValueError, "^texts must be 3, one per image"),
    ([[["a"]]] * 2, ValueError, "^texts must be 3, one per image, got 2"),
    (["a", "b", "c"], TypeError, "^texts must be sequences of str for each kind of text, got 'a' in row 0"),
    ([[["a"]], ["b"], [["c"]]], TypeError, "^texts must be sequences of str"),
    ([[["a"]], [["b"]], []], ValueError, r"^texts must be strings that are not empty .* got \(\) in row 2"),
    ([[["a"]], [[" "]], [["c"]]], ValueError, "^texts must .* in row 1"),
    ([[["a"]], [[7]], [["c"]]], ValueError, "^texts must .* in row 1"),
)


def test_what_a_black_box_is_asked_by(tmp_path):
    for by, kind in (("text", "text"), ("points", "random"), ("boxes", "box"), (None, "random")):
        box = as_black_box(spy(by), name="spy")
        wrapped = Cached(Quantized(Hardened(Budgeted(box, 9))), tmp_path)
        assert box.prompted_by == wrapped.prompted_by == by
        assert kind_for(wrapped) == kind
    assert kind_for(as_black_box(lambda images, prompts: images), "text") == "text"
    with pytest.raises(ValueError, match="points must not be 'text' for a black box that is prompted by points"):
        kind_for(spy("points"), "text")
    with pytest.raises(ValueError, match="points must not be 'centre' for a black box that is prompted by text"):
        kind_for(spy("text"), "centre")
    assert kind_for(spy("points"), "box+point") == "box+point" and kind_for(spy(None), 1) == "random"
    with pytest.raises(ValueError, match="points must not be 3 for a black box that is prompted by boxes"):
        kind_for(spy("boxes"), 3)
    known = "a number of points >= 1, 'random', 'centre', 'box', 'box\\+point', 'text' or a callable"
    for wrong in ("middle", 0, -1, True, 2.0, ["box"]):
        with pytest.raises(ValueError, match=f"points must be {known}, got {re.escape(repr(wrong))}"):
            kind_for(spy(None), wrong)


def test_objective_and_evaluation_ask_as_the_black_box_wants():
    samples, prompt, box = told(), FilterPrompt(32), spy("text")
    objective = Objective(box, prompt, samples, batch=4, augment="paper", seed=3)
    objective.losses(np.zeros((2, prompt.dim)), 5)
    (_, first), (_, second) = box.asked
    assert first.points is None and first.texts == second.texts == objective.minibatch(5).prompts.texts
    assert objective.minibatch(5).prompts.texts != objective.minibatch(6).prompts.texts
    box.asked.clear()
    evaluate(box, samples, repeats=2, batch=3, seed=7, distances=False)
    texts = draw_prompts("text", samples, (7, 0)).texts
    assert [prompts.texts for _, prompts in box.asked[:2]] == [texts[:3], texts[3:6]]
    points = spy("points")
    evaluate(points, samples, repeats=1, distances=False)
    np.testing.assert_array_equal(points.asked[0][1].points, random_points(samples.masks, (0, 0)).points)
    Objective(points, prompt, samples, batch=4)(np.zeros(prompt.dim), 0)
    assert points.asked[-1][1].texts is None


def test_samples_without_texts_say_so_before_anything_is_paid_for():
    box = spy("text")
    for ask in (
        lambda: Objective(box, FilterPrompt(32), discs(4, 1)),
        lambda: evaluate(box, discs(4, 1)),
        lambda: draw_prompts("text", discs(4, 1), 0),
    ):
        raises(ValueError, r"^samples must have texts .* splits\.with_texts\(\"a polyp\"\), or --text", ask)
    assert not box.asked


def test_trivial_baselines_take_the_middle_where_there_is_a_text():
    splits = disc_splits().with_texts("disc")
    ask = Prompts(texts=("disc",) * 6)
    for name, box in baselines(splits, points="text").items():
        masks = box(splits.test.images, ask)
        middle = Prompts(points=np.full((6, 1, 2), 15.5, np.float32))
        np.testing.assert_array_equal(masks, box(splits.test.images, middle), name)
    train, ask = splits.train, Prompts(texts=("disc",) * 12)
    dices = [dice(Disk(float(r))(train.images, ask), train.masks).mean() for r in range(24)]
    assert best_disk(train, points="text").radius == np.argmax(dices)


def test_fingerprint_knows_texts_only_where_they_are_used():
    plain, told_ = disc_splits(), disc_splits().with_texts("disc")
    assert fingerprint(plain) == fingerprint(told_)
    assert len({fingerprint(s, texts=True) for s in (plain, told_, plain.with_texts("spot"))}) == 3
