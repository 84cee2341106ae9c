"""Source scenes with texts, the grammar of the texts, and the texts of the drawn domains."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from zoo_opt_seg.data.draws import draw_prompts
from zoo_opt_seg.data.synthetic import DOMAINS, domain, draw, referring_scenes, texts
from zoo_opt_seg.data.synthetic.attributes import COLOURS, LIKE, Described, colour_name, measured
from zoo_opt_seg.data.synthetic.describing import CONCEPTS, CONFUSED, SHAPE_NOUNS, concept, describe, vocabulary
from zoo_opt_seg.data.synthetic.referring import MIN_AREA, PALETTE, SHAPES

THING = Described(shape="circle", texture="plain", colour="red", contrast=-0.3, area=0.04, centre=(0.2, 0.3))
# Of images and masks as they were before the domains had texts: sizes (6, 2, 2), seed 0.
PIXELS = {"skin": "82fad56b167513fe", "disc": "ee7b4be3e0693a46", "tool": "6a7b4c873f2925f3"}
PIXELS |= {"polyp": "56661d7bb4c7b2fb", "source": "4fdb6c9859e25c8b"}


@pytest.fixture(scope="module")
def scenes():
    return referring_scenes(40, seed=2)


@pytest.mark.parametrize("name", PIXELS)
def test_texts_have_not_changed_a_pixel(name):
    splits, seen = domain(name, sizes=(6, 2, 2)), hashlib.sha256()
    for part in (splits.train, splits.validation, splits.test):
        seen.update(part.images.tobytes() + part.masks.tobytes())
    assert seen.hexdigest()[:16] == PIXELS[name]


def test_scenes_are_a_function_of_seed_and_index(scenes):
    images, labels, objects = scenes
    again = referring_scenes(3, seed=2, first=7)
    np.testing.assert_array_equal(again[0], images[7:10])
    np.testing.assert_array_equal(again[1], labels[7:10])
    assert again[2] == objects[7:10] and (referring_scenes(1, seed=3)[0] != images[0]).any()
    assert images.dtype == labels.dtype == np.uint8 and images.shape == (40, 96, 96, 3)


def test_objects_are_described_as_the_scene_shows_them(scenes):
    for image, label, objects in zip(*scenes, strict=True):
        assert set(np.unique(label)) >= set(range(1, len(objects) + 1)) and label.max() == len(objects) >= 1
        for number, thing in enumerate(objects, start=1):
            mask = label == number
            assert thing == measured(image, mask, label == 0, shape=thing.shape, texture=thing.texture)
            assert thing.area == mask.mean() >= MIN_AREA and thing.shape in SHAPES
    kinds = {thing.shape for objects in scenes[2] for thing in objects}
    assert kinds == set(SHAPES) and max(map(len, scenes[2])) >= 3


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_attributes_turn_with_the_image(scenes, quarters, mirrored):
    image, label = (np.rot90(array[0], quarters) for array in scenes[:2])
    if mirrored:
        image, label = image[:, ::-1], label[:, ::-1]
    before = scenes[2][0][0]
    turned, seen = before.turned(quarters, mirrored), measured(image, label == 1, label == 0, shape=before.shape)
    np.testing.assert_allclose(turned.centre, seen.centre, atol=1e-9)
    assert turned.place == seen.place and turned.area == seen.area and turned.colour == seen.colour


def test_places_and_sizes_are_said_only_where_they_are_clear():
    centres = (0.2, 0.2), (0.8, 0.5), (0.5, 0.9), (0.5, 0.5), (0.43, 0.5), (0.43, 0.2)
    places = [replace(THING, centre=centre).place for centre in centres]
    assert places == ["upper left", "right", "lower", "middle", None, "upper"]
    assert [replace(THING, area=a).size for a in (0.02, 0.07, 0.2)] == ["small", None, "large"]
    assert [replace(THING, contrast=c).light for c in (-0.2, 0.01, 0.2)] == ["dark", None, "bright"]


def test_colours_have_the_names_that_they_were_drawn_for():
    rng = np.random.default_rng(0)
    for name, (_, saturations, values) in PALETTE.items():
        hue = np.mean(PALETTE[name][0])
        for _ in range(20):
            saturation, value = rng.uniform(*saturations), rng.uniform(*values)
            full = np.clip(np.abs((np.array([0.0, 240, 120]) + hue) % 360 / 60 - 3) - 1, 0, 1)
            assert colour_name(value * (1 - saturation + saturation * full)) in (name, None, *LIKE[name])
    colours = [0.9, 0.1, 0.1], [0.1, 0.2, 0.9], [0.95] * 3, [0.4, 0.25, 0.12]
    assert [colour_name(np.array(c)) for c in colours] == ["red", "blue", "white", "brown"]
    assert set(LIKE) == set(COLOURS) == set(PALETTE) and set(CONFUSED) == set(SHAPES)


def test_a_text_is_true_of_its_object_and_false_of_the_others(scenes):
    """Checked by reading the sentence again: what each word says, by the attributes alone."""
    rng = np.random.default_rng(0)
    checked = 0
    for objects in scenes[2]:
        for k, thing in enumerate(objects):
            text = describe(rng, objects, k)
            if text is None:
                assert len(objects) > 1
                continue
            checked += 1
            said = set(text.replace("gray", "grey").replace("violet", "purple").split())
            assert not said & set(COLOURS) - {thing.colour}
            assert not said & {"striped", "spotted", "plain"} - {thing.texture}
            assert thing.light != "dark" or not said & {"bright", "pale", "lighter"}
            assert thing.centre[0] < 0.5 or "left" not in said
            assert thing.centre[1] > 0.5 or not said & {"lower", "bottom"}
            if "smallest" in said or "smaller" in said:
                assert thing.area == min(other.area for other in objects)
            shapes = [true for noun, true in SHAPE_NOUNS.items() if text.endswith(noun) and " " not in noun]
            assert not shapes or any(thing.shape in true for true in shapes)
    assert checked > 60


def test_what_cannot_be_told_apart_has_no_text():
    rng = np.random.default_rng(0)
    assert describe(rng, [THING, THING], 0) is None
    other = replace(THING, colour="blue")
    found = {describe(rng, [THING, other], 0) for _ in range(30)}
    assert all(t is None or "red" in t.split() or t.endswith(tuple(CONCEPTS)) for t in found) and len(found) > 5
    orange = replace(THING, colour="orange")  # might be called red
    assert {describe(rng, [THING, orange], 0) for _ in range(30)} == {None}


def test_words_of_medicine_are_for_what_looks_alike():
    assert concept(replace(THING, colour="brown"), "mole") is True
    assert concept(replace(THING, colour="brown", shape="star"), "mole") is None  # perhaps a blob
    assert concept(replace(THING, colour="brown", shape="bar"), "polyp") is None
    assert concept(replace(THING, colour="green"), "polyp") is False
    assert concept(replace(THING, shape="bar", colour="grey"), "instrument") is True
    assert all(set(colours) <= set(COLOURS) and set(shapes) <= set(SHAPES) for shapes, colours, _ in CONCEPTS.values())


@pytest.mark.parametrize("name", DOMAINS)
def test_domains_have_six_kinds_of_texts_in_words_that_were_learnt(name):
    splits = domain(name, sizes=(12, 1, 1))
    known = set(vocabulary())
    for kinds in splits.train.texts:
        assert len(kinds) == 6 and kinds[:2] == texts.MANNERS[name][:2]
        assert all(word in known for strings in kinds for text in strings for word in text.split())
    assert len({kinds[5] for kinds in splits.train.texts}) > 5  # with the colour, size and place of each
    assert splits.train[3:5].texts == splits.train.texts[3:5]
    one, two = (draw_prompts("text", splits.train, seed).texts for seed in (1, 2))
    assert len(one) == 12 and one != two


def test_places_in_the_texts_of_domains_are_those_of_the_masks():
    part = domain("skin", sizes=(30, 0, 0)).train
    for mask, kinds in zip(part.masks, part.texts, strict=True):
        x = np.nonzero(mask)[1].mean()
        assert not any("left" in text for text in kinds[4]) or x < 45
        assert not any("right" in text for text in kinds[4]) or x > 50


def test_referring_scenes_have_texts_for_the_object_asked_for():
    splits = domain("referring", sizes=(8, 2, 2), seed=5)
    for kinds in splits.train.texts:
        assert len(kinds) == 1 and 1 <= len(kinds[0]) <= 3
    image, mask = draw("referring", 5, 8)
    np.testing.assert_array_equal(image, splits.validation.images[0])
    np.testing.assert_array_equal(mask, splits.validation.masks[0])
    assert splits.train.texts == domain("referring", sizes=(8, 2, 2), seed=5).train.texts


def test_source_scenes_have_texts_without_shapes():
    shapes = {word for noun in SHAPE_NOUNS for word in noun.split()} - {"object", "region"}
    for kinds in domain("source", sizes=(20, 0, 0)).train.texts:
        assert not any(set(text.split()) & shapes for text in kinds[0])
