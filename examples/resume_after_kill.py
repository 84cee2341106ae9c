"""Go on after a crash, without repeating an evaluation that was paid for.

With `checkpoint=path` every loss is on the disk before it is used. The same call then goes on where the run was cut
off, by whatever it was: here a process that is killed in the middle of an evaluation. The end is the same, bit for bit,
as that of a run that nobody interrupted.

More: docs/getting-started.md.
"""

import multiprocessing
import os
import tempfile
from pathlib import Path

import numpy as np

import zoo_opt as zo


def expensive_loss(x: np.ndarray) -> float:
    """Return a quadratic, imagined to cost an hour of computing."""
    return float(np.sum(np.arange(1, 6) * (x - 1.0) ** 2))


class Paid:
    """The objective, with a line in a file for each call that was begun; it dies in call `dies_at`."""

    def __init__(self, bill: Path, dies_at: int | None = None) -> None:
        self.bill, self.dies_at = bill, dies_at

    def __call__(self, x: np.ndarray) -> float:
        """Count the call and evaluate."""
        with self.bill.open("a") as file:
            file.write("one call\n")
        if self.calls() == self.dies_at:
            os._exit(9)  # as with kill -9: nothing is tidied up
        return expensive_loss(x)

    def calls(self) -> int:
        """Return the number of calls so far, those of dead processes included."""
        return len(self.bill.read_text().splitlines())


def run(objective: Paid, checkpoint: Path | None) -> zo.Result:
    """Minimise, or go on."""
    return zo.minimize(objective, np.zeros(5), method="cma-es", budget=600, rng=0, checkpoint=checkpoint)


def main() -> None:
    """Let a process die, go on in this one, and compare."""
    with tempfile.TemporaryDirectory() as folder:
        bill, checkpoint = Path(folder, "bill.txt"), Path(folder, "run.zoo")
        process = multiprocessing.get_context("spawn").Process(target=run, args=(Paid(bill, dies_at=250), checkpoint))
        process.start()
        process.join()
        print(f"the process died with exit status {process.exitcode} in call {Paid(bill).calls()}")

        res = run(Paid(bill), checkpoint)
        print(f"resumed: loss {res.fun:.1e}, {res.nfev} evaluations, paid for {Paid(bill).calls()}")
        whole = run(Paid(Path(folder, "other.txt")), None)
        print(f"same answer as without a crash: {np.array_equal(res.x, whole.x)}")


if __name__ == "__main__":
    main()
