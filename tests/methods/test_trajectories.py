"""Every method goes where it went when its trajectory was written down: a change that moves it is noticed.

`trajectories.json` has, for each case and loss, what `seen` returns. The figures hold on any machine, to 1e-6. A new
case is written down by ``python tests/methods/test_trajectories.py``, which leaves those that are there as they are.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from cases import BY_NAME, CASES

from zoo_opt.testing import hazy, rugged

FILE = Path(__file__).with_name("trajectories.json")
AT = (1, 2, 4, 8, 16, 32, 48)  # steps after which it is looked at


def valley(candidate):
    """A Rosenbrock valley with a slope: smooth, and nothing fails."""
    x = np.asarray(candidate.x, dtype=np.float64)
    return float(np.sum((1 - x) ** 2) + 2 * np.sum((x[1:] - x[:-1] ** 2) ** 2) + np.sum(x * np.arange(1, x.size + 1)))


LOSSES = {"valley": (valley, None), "rugged": (rugged, hazy)}  # the loss and the standard error told


def seen(case, what):
    """A weighted sum of the mean and one of the candidates after each of the steps, and why it would stop."""
    (loss, sem), opt, sums = LOSSES[what], case.start(), []
    for step in range(1, AT[-1] + 1):
        batch = opt.ask()
        candidates = [batch[i] for i in range(len(batch))]
        opt.tell(batch, [loss(c) for c in candidates], sem and [sem(c) for c in candidates])
        if step in AT:
            sums += [float(np.cos(np.arange(a.size)) @ a.ravel().astype(float)) for a in (opt.mean, batch.X)]
    return [*sums, float(opt.nfev), " ".join(opt.stop())]


@pytest.mark.parametrize("what", LOSSES)
@pytest.mark.parametrize("name", BY_NAME)
def test_trajectory(name, what):
    *expected, why = json.loads(FILE.read_text())[name][what]
    *got, stop = seen(BY_NAME[name], what)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)
    assert stop == why


def main():
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    for case in CASES:
        if case.name not in known:
            rows = {what: seen(case, what) for what in LOSSES}
            known[case.name] = {
                what: [v if isinstance(v, str) else float(f"{v:.9g}") for v in r] for what, r in rows.items()
            }
            assert all(math.isfinite(v) for r in known[case.name].values() for v in r[:-1]), case.name
    FILE.write_text("{\n" + ",\n".join(f"{json.dumps(n)}: {json.dumps(row)}" for n, row in known.items()) + "\n}\n")


if __name__ == "__main__":
    main()
