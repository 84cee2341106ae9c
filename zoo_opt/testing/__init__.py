"""The contract suite: what every method must do, as tests that a method of your own can be run through.

In a test module::

    import pytest
    from zoo_opt.testing import Case, MethodContract

    class TestMine(MethodContract):
        @pytest.fixture(params=[Case("mine", Mine(lr=0.1), types=(Mine, MineState))], ids=str)
        def case(self, request):
            return request.param

or, without pytest, ``check(Case("mine", Mine(lr=0.1), types=(Mine, MineState)))``. numpy is all it needs.
"""

from __future__ import annotations

from zoo_opt.testing.case import Case, ellipsoid, hazy, rugged, sphere
from zoo_opt.testing.contract import MethodContract, check
from zoo_opt.testing.recorder import Recorder

__all__ = ["Case", "MethodContract", "Recorder", "check", "ellipsoid", "hazy", "rugged", "sphere"]
