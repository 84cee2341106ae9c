"""What the tests of zoo_opt_seg share: one torch thread, third parties' deprecation notes, small data, a small SAM."""

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What the extras seg and dicom bring and tests import; where one is absent, this folder is left out, as its end says.
EXTRA = ("h5py", "monai", "nibabel", "open_clip", "peft", "pydicom", "rich", "safetensors", "scipy", "segment_anything")
EXTRA += ("SimpleITK", "skimage", "tensorboard", "tifffile", "timm", "torch", "torchvision", "transformers")
ABSENT = [name for name in EXTRA if importlib.util.find_spec(name) is None]
collect_ignore_glob = ["*"] if ABSENT else []

# Notes of other packages about themselves or each other, at import or first use: nothing of ours can mend them.
THIRD_PARTY = [
    r"ignore:.*:DeprecationWarning:(monai|timm|open_clip|peft|transformers|segment_anything|torchvision|nibabel)(\..*)?",
    r"ignore:.*:FutureWarning:(monai|timm|open_clip|peft|transformers|segment_anything|torchvision)(\..*)?",
]


def pytest_configure(config: pytest.Config) -> None:
    """Let the packages that zoo_opt_seg leans on deprecate what they like; our own warnings stay errors."""
    for line in THIRD_PARTY:
        config.addinivalue_line("filterwarnings", line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why nothing of this folder has run."""
    if ABSENT:
        terminalreporter.write_line(f"tests/seg is left out, not installed: {', '.join(ABSENT)} (zoo-opt[seg,dicom])")


@pytest.fixture(autouse=True, scope="session")
def one_torch_thread() -> None:
    """xdist already uses the cores; results must not depend on their number."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def generators() -> Iterator[None]:
    """The global generators of random, numpy and torch must stand at the end of the test where they did before it."""
    import random

    import numpy as np
    import torch

    def states() -> list[object]:
        return [random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()]  # noqa: NPY002

    before = states()
    yield
    assert states() == before


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the small real sets, from ZOO_OPT_SHARED or beside the repository; skips where it is absent."""
    folder = Path(os.environ.get("ZOO_OPT_SHARED", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent (set ZOO_OPT_SHARED)")
    return folder


@pytest.fixture
def run(capsys, monkeypatch, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in an empty folder; returns status, output, errors."""
    from zoo_opt_seg import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def call(*words: object) -> tuple[int, str, str]:
        status = cli.main([str(word) for word in words])
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def small_video_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """EndoVis' frames at a sixteenth of 1920 x 1080, with the camera image in proportion."""
    from zoo_opt_seg.data.loaders import endovis2017

    monkeypatch.setattr(endovis2017, "FRAME", (120, 68))
    monkeypatch.setattr(endovis2017, "BORDERS", (2, 2, 20, 20))
