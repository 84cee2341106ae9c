"""How much a question may take of a server: bytes, pixels, points, seconds, and places in the queue."""

from __future__ import annotations

from dataclasses import dataclass, fields

from zoo_opt.core.errors import integer, real
from zoo_opt_seg.serve.problems import Problem


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a server. A request that exceeds one is refused before memory is taken for it.

    Parameters
    ----------
    body : int
        Bytes of a request. All requests together hold four times as many, else the next one is told to come again.
    json : int
        Bytes of a request that are JSON; while it is read, it takes up to 25 times as many of memory.
    pixels : int
        Of an image, by what its file or its shape says. The images of all questions together have twice as many, the
        next one waits; those of one batch have no more than one image may have.
    points : int
        Of a question.
    text : int
        Characters of a text.
    queue : int
        Questions that wait or are answered; the next one is told to come again.
    seconds : float
        For a request to arrive as a whole.
    """

    body: int = 32 << 20
    json: int = 8 << 20
    pixels: int = 4096 * 4096
    points: int = 1000
    text: int = 1000
    queue: int = 64
    seconds: float = 30.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name != "seconds":
                integer(field.name, getattr(self, field.name), 1)
        if not real("seconds", self.seconds) > 0.0:
            raise ValueError(f"seconds must be > 0, got {self.seconds!r}")

    def check_image(self, width: int, height: int) -> int:
        """Return the pixels of an image of this size; a Problem if they are too many, or none."""
        if width * height > self.pixels:
            raise Problem(413, f"the image has {width} x {height} pixels, more than the {self.pixels} that are taken")
        if width < 1 or height < 1:
            raise Problem(400, f"the image must have pixels, got {width} x {height}")
        return width * height

    def check_points(self, n: int) -> None:
        """Raise a Problem if so many points are too many."""
        if n > self.points:
            raise Problem(413, f"the question has {n} points, more than the {self.points} that are taken")

    def check_text(self, text: str) -> None:
        """Raise a Problem if a text is too long."""
        if len(text) > self.text:
            raise Problem(413, f"the text has {len(text)} characters, more than the {self.text} that are taken")
