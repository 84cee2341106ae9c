"""Drawn abdominal CT: a body with eight organs of stable anatomy and random shape, and what lies around them.

The anatomy is a list of ellipsoids and tubes in millimetres, about the middle of an average body. A case has its own
body size, its own place, size and turn of each organ, one smooth warp of space that bends all of them together, its own
contrast phase, fat, bowel, gas and noise. The window [-125, 275] HU becomes [0, 1], as Synapse's slices have it.

x goes to the right of the image, which is the patient's left; y to the back; z to the head.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from zoo_opt.core.errors import integer
from zoo_opt_seg.data.synthetic.ct_shapes import Space, ellipsoid, smooth_noise, tube
from zoo_opt_seg.data.volumes import Volume, VolumeSplits, slices_of

CLASSES = ("aorta", "gallbladder", "left kidney", "right kidney", "liver", "pancreas", "spleen", "stomach")
"""The organs, in the order of their labels 1 to 8: those of Synapse."""

CASES = (12, 4, 8)
"""Cases to train on, to validate with and to test with."""

WINDOW = (-125.0, 275.0)  # Hounsfield units that become 0 and 1
HALF = (165.0, 110.0)  # of the average body: to the sides, to front and back, in mm
NO_GALLBLADDER = 0.1  # share of cases: taken out, as in some of Synapse's


TISSUES = {  # HU in the arterial and in the portal venous phase, and a case's own deviation (standard) from them
    "aorta": (225, 150, 12),
    "vein": (90, 145, 10),
    "kidney": (150, 185, 12),
    "liver": (80, 112, 8),
    "spleen": (118, 122, 9),
    "pancreas": (105, 88, 8),
    "muscle": (55, 62, 5),
    "fat": (-100, -100, 6),
    "bile": (8, 12, 6),
}
Phase = dict[str, float]
"""What the contrast agent makes of the tissues, in HU."""


def splits(size: int = 96, seed: int = 0, cases: tuple[int, int, int] = CASES) -> VolumeSplits:
    """Draw the set.

    Parameters
    ----------
    size : int
        Height and width in pixels, at least 32.
    seed : int
        Non-negative.
    cases : (int, int, int)
        Cases to train on, to validate with and to test with: the numbers 0 to n - 1 in this order.

    Returns
    -------
    VolumeSplits
    """
    if len(cases) != 3:
        raise ValueError(f"cases must be three numbers, to train on, to validate with and to test with, got {cases!r}")
    for number in cases:
        integer("cases", number, 1)
    numbers = np.split(np.arange(sum(cases)), np.cumsum(cases)[:2])
    parts = [[volume(seed, int(number), size) for number in part] for part in numbers]
    train, validation = (slices_of(part, CLASSES) for part in parts[:2])
    return VolumeSplits("ct", CLASSES, train, validation, tuple(parts[2]))


def volume(seed: int, number: int, size: int = 96) -> Volume:
    """Draw one case: a function of (seed, number, size) alone.

    Parameters
    ----------
    seed, number : int
        Non-negative.
    size : int
        Height and width in pixels, at least 32. The slices, some 22 to 34, are 6 to 8.5 mm apart.

    Returns
    -------
    Volume
        With spacing. Every organ is in it, but for the gallbladder of one case in ten.
    """
    integer("size", size, 32)
    rng = np.random.default_rng([zlib.crc32(b"ct"), integer("seed", seed, 0), integer("number", number, 0)])
    space = Space.drawn(rng, size, HALF)
    t = rng.random()  # from arterial (0) to portal venous (1)
    phase = {
        name: float((1 - t) * early + t * late + sd * rng.standard_normal())
        for name, (early, late, sd) in TISSUES.items()
    }
    hu, inside = _body(rng, space, phase)
    label = np.zeros(space.shape, np.uint8)
    _bowel(rng, space, hu, inside)
    for name, shape, value in _organs(rng, space, phase):
        where = shape & inside
        hu[where] = value[where] if isinstance(value, np.ndarray) else value
        label[where] = CLASSES.index(name) + 1 if name in CLASSES else 0
    image = _scanned(rng, space, hu)
    return Volume(f"ct{seed}_case{number:04d}", image, label, space.spacing)


def _body(rng: np.random.Generator, space: Space, phase: Phase) -> tuple[np.ndarray, np.ndarray]:
    """Air, skin, fat, the muscle wall with ribs, spine and lungs: HU, and where organs may lie."""
    x, y, z = space.x, space.y, space.z
    a, b = HALF
    fat, wall = rng.uniform(6.0, 26.0), rng.uniform(9.0, 15.0)
    power = rng.uniform(2.2, 2.8)

    def depth(inset: float) -> np.ndarray:
        return (np.abs(x) / (a - inset)) ** power + (np.abs(y) / (b - inset)) ** power

    hu = np.full(space.shape, -1000.0, np.float32)
    hu[depth(0.0) < 1] = phase["muscle"] - 40  # skin
    hu[depth(2.5) < 1] = phase["fat"]
    hu[depth(fat) < 1] = phase["muscle"]
    inside = depth(fat + wall) < 1
    hu[inside] = phase["fat"]
    angle = np.arctan2(y, x)
    ribs = np.cos((z + 22 * np.cos(2 * angle)) * 2 * np.pi / 26 + rng.uniform(0, 2 * np.pi)) > 0.25
    hu[ribs & (depth(fat + 3) < 1) & (depth(fat + wall - 2) >= 1) & (z > 5)] = rng.uniform(180, 330)
    back = ellipsoid(space, (-34, 82, 0), (30, 20, 400)) | ellipsoid(space, (34, 82, 0), (30, 20, 400))
    hu[back & (depth(fat) < 1)] = phase["muscle"]
    psoas = ellipsoid(space, (-36, 62, -75), (17, 17, 60)) | ellipsoid(space, (36, 62, -75), (17, 17, 60))
    spine = ellipsoid(space, (0, 66, 0), (23, 18, 400))
    arch = ellipsoid(space, (0, 90, 0), (9, 16, 400)) | ellipsoid(space, (0, 84, 0), (26, 5, 400))
    hu[psoas] = phase["muscle"]
    disc = np.cos(z * 2 * np.pi / 34 + rng.uniform(0, 2 * np.pi)) > 0.85
    hu[arch] = rng.uniform(180, 300)
    hu[spine] = np.where(disc, 80, rng.uniform(150, 240))[spine]
    hu[ellipsoid(space, (0, 84, 0), (8, 6, 400))] = 20.0  # the canal
    inside = inside & ~spine & ~arch & ~psoas & ~back
    dome = 78 - 0.0035 * ((np.abs(x) - 75) ** 2 + 0.8 * (y + 10) ** 2) + rng.uniform(-6, 6)
    hu[inside & (z > dome) & (np.abs(x) > 18)] = -850.0
    return hu, inside


def _bowel(rng: np.random.Generator, space: Space, hu: np.ndarray, inside: np.ndarray) -> None:
    """Loops with walls, content and gas: the unlabelled things that look like organs."""
    for _ in range(int(rng.integers(10, 17))):
        centre = (rng.uniform(-110, 110), rng.uniform(-75, 10), rng.uniform(-115, -5))
        radii = rng.uniform([12, 12, 12], [32, 22, 30])
        turn = rng.uniform(0, np.pi)
        loop = ellipsoid(space, centre, radii, turn) & inside
        content = ellipsoid(space, centre, radii - 4, turn) & inside
        hu[loop] = rng.uniform(50, 100)
        hu[content] = rng.uniform(140, 260) if rng.random() < 0.2 else rng.uniform(0, 55)
        if rng.random() < 0.4:
            hu[content & (space.y < centre[1] - rng.uniform(-2, 8))] = -900.0


def _organs(rng: np.random.Generator, space: Space, phase: Phase) -> list[tuple[str, np.ndarray, Any]]:
    """Name, mask and HU of each organ and of the veins, in the order of drawing: what comes later lies on top."""

    def near(*centre: float, sd: float = 5.0) -> np.ndarray:
        return np.array(centre) + sd * rng.standard_normal(3)

    def grown(*radii: float, by: float = 0.12) -> np.ndarray:
        return np.array(radii) * np.exp(by * rng.standard_normal() + 0.06 * rng.standard_normal(3))

    def turned(degrees: float, sd: float = 8.0) -> float:
        return float(np.deg2rad(degrees + sd * rng.standard_normal()))

    liver = near(-72, -8, 42, sd=6)
    right = ellipsoid(space, liver, grown(72, 78, 62), turned(0))
    left = ellipsoid(space, liver + np.array([74, -34, 14]), grown(62, 30, 34), turned(-8))
    hollow = ellipsoid(space, liver + np.array([52, 52, -34]), grown(48, 42, 44))  # pressed in by the kidney
    place, size, turn = near(58, -38, 36, sd=8), grown(44, 32, 50, by=0.2), turned(25, 12)
    stomach, lumen = ellipsoid(space, place, size, turn), ellipsoid(space, place, size - 5, turn)
    filled = np.full(space.shape, phase["muscle"] + 20, np.float32)
    filled[lumen] = rng.uniform(150, 260) if rng.random() < 0.2 else rng.uniform(5, 50)
    filled[lumen & (space.y < place[1] - rng.uniform(0.0, 0.9) * size[1])] = -900.0
    spleen = ellipsoid(space, near(108, 34, 42, sd=6), grown(27, 46, 42, by=0.18), turned(20))
    pancreas = tube(
        space,
        [near(-32, 0, -16), near(-16, -14, 0), near(12, -16, 8), near(42, 2, 18), near(74, 16, 30)],
        [15, 12, 9, 10, 9] * np.exp(0.12 * rng.standard_normal(5)),
    )
    kidneys = {}
    for side, centre, turn in (("right kidney", (-66, 42, -24), -18), ("left kidney", (68, 40, -8), 18)):
        place, size, angle = near(*centre, sd=6), grown(27, 29, 52, by=0.1), turned(turn)
        kidneys[side] = (ellipsoid(space, place, size, angle), ellipsoid(space, place, 0.55 * size, angle))
    along = [near(10 + 3 * k, 38, z, sd=2.5) for k, z in enumerate((-140, -70, 0, 70, 140))]
    aorta = tube(space, along, np.full(5, rng.uniform(9.0, 13.0)))
    cava = tube(space, [point - np.array([30, 2, 0]) for point in along], np.full(5, rng.uniform(9.0, 13.0)))
    portal = tube(space, [near(-8, 4, 2), near(-30, -2, 26), near(-68, -6, 44)], np.array([8, 8, 5.0]))
    texture = 6 * smooth_noise(rng, space, 22.0)
    drawn: list[tuple[str, np.ndarray, Any]] = [
        ("stomach", stomach, filled),
        ("spleen", spleen, phase["spleen"] + texture),
        ("liver", (right & ~hollow) | left, phase["liver"] + texture),
        ("liver", portal & (right | left) & ~hollow, phase["vein"]),
        ("pancreas", pancreas, phase["pancreas"] + 1.5 * texture),
        ("vein", cava, phase["vein"]),
    ]
    for side, (kidney, medulla) in kidneys.items():
        drawn += [(side, kidney, phase["kidney"]), (side, medulla & kidney, phase["kidney"] - 45)]
    has, bladder = rng.random() >= NO_GALLBLADDER, ellipsoid(space, near(-48, -46, 0), grown(17, 24, 25, by=0.2))
    return drawn + [("gallbladder", bladder, phase["bile"])] * has + [("aorta", aorta, phase["aorta"])]


def _scanned(rng: np.random.Generator, space: Space, hu: np.ndarray) -> np.ndarray:
    """Blur of the scanner, noise, and the window: float32 in [0, 1]."""
    from scipy.ndimage import gaussian_filter

    seen = gaussian_filter(hu, (0.35, 0.6, 0.6), mode="nearest", truncate=3.0)
    noise = gaussian_filter(rng.standard_normal(space.shape, dtype=np.float32), (0, 0.5, 0.5), truncate=2.0)
    seen += noise * float(rng.uniform(14, 30) / noise.std())
    return ((seen - WINDOW[0]) / (WINDOW[1] - WINDOW[0])).clip(0, 1).astype(np.float32)
