"""A run of `adapt` over the Open Inference Protocol is the run in this process, bit for bit."""

from typing import Any

import pytest
from seg.adapting import quick
from seg.serving import in_thread
from seg.tiny_box import splits

from zoo_opt_seg.blackbox.registry import OIP
from zoo_opt_seg.blackbox.tiny import TinySam
from zoo_opt_seg.remote.terms import Terms
from zoo_opt_seg.serve.desk import Desk
from zoo_opt_seg.serve.segmenting import Segmenter
from zoo_opt_seg.serve.versions import Versions


@pytest.mark.slow
def test_adapt_is_the_same_run_bit_for_bit() -> None:
    """One image at a time on both sides: of a batch, a network's sums have other last bits."""
    run = {"data": splits(6, 3, 2), "calls": 40, "batch": 2, "validate": 2, "test": True}
    here = quick(TinySam(batch_size=1), **run)
    with (
        in_thread(Desk("tiny", Versions(Segmenter(TinySam())), batch=1)) as url,
        OIP.make(f"{url}/tiny", terms=Terms(workers=2), options={"binary": "yes"}) as box,
    ):
        there = quick(box, **run)
    assert there.x.tobytes() == here.x.tobytes() and there.last.tobytes() == here.last.tobytes()
    assert (there.calls, there.nfev, there.nit) == (here.calls, here.nfev, here.nit) and there.calls == 30
    assert [without_time(mark) for mark in there.marks] == [without_time(mark) for mark in here.marks]
    assert there.metrics["test"] == here.metrics["test"]


def without_time(mark: dict[str, Any]) -> dict[str, Any]:
    """What a mark holds but for the time that it took."""
    return {name: value for name, value in mark.items() if "seconds" not in name}
