"""The radii that a method takes: of its first ball, and of the one with which it is over."""

from __future__ import annotations

from zoo_opt.core.errors import positive

LARGEST = 1e100  # of radii, and of losses in units: larger ones count as so large, so that models are numbers


def check_radii(radius: float, end_radius: float) -> None:
    """Raise unless both are positive, not near the ends of the numbers, and the second is not larger than the first."""
    for name, length in (("radius", radius), ("end_radius", end_radius)):
        positive(name, length)
        if not 1 / LARGEST <= length <= LARGEST:
            raise ValueError(f"{name} must be from 1e-100 to 1e100, got {length!r}; x_scale is for other units")
    if not end_radius <= radius:
        raise ValueError(f"end_radius must be at most the radius, {radius!r}, got {end_radius!r}")
