"""What a training costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo_opt.torch.course import Course


class Cost:
    """What was spent so far, by this process since the training or its resuming began but for the counts.

    Attributes
    ----------
    forward_seconds : float
        In the loss.
    move_seconds : float
        In all else: moving the parameters, deciding, the log.
    dropped : int
        Losses that came too late, or that nobody waits for any more.
    """

    def __init__(self, course: Course) -> None:
        self._course = course
        self.forward_seconds = self.move_seconds = 0.0
        self.dropped = 0

    def spent(self, forward: float, move: float) -> None:
        """Add the seconds of a step."""
        self.forward_seconds += forward
        self.move_seconds += move

    @property
    def forwards(self) -> int:
        """Losses, failed ones included, over the whole training."""
        return self._course.forwards

    @property
    def failures(self) -> int:
        """Losses that were NaN, or later than their step."""
        return self._course.failures

    @property
    def late(self) -> int:
        """Directions that a later step than theirs has used."""
        return self._course.late

    @property
    def memory(self) -> int:
        """Bytes held beside the module: buffers, tables, masters of half precision, momentum."""
        return self._course.replica.memory

    def __str__(self) -> str:
        seconds = self.forward_seconds + self.move_seconds
        share = self.move_seconds / seconds if seconds else 0.0
        late = f", {self.late} directions used later, {self.dropped} losses dropped" if self.late + self.dropped else ""
        return (
            f"{self.forwards} forwards ({self.failures} failed{late}), {self.forward_seconds:.1f} s in the loss and "
            f"{self.move_seconds:.1f} s ({share:.0%}) in moving the parameters, "
            f"{self.memory / 2**20:.2f} MB more memory"
        )
