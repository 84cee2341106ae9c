"""Figures of pyplot, which other tests of a process may have imported, are closed after each test."""

import sys

import pytest


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")
