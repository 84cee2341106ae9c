"""What the tests of zoo_opt_seg share: one torch thread, third parties' deprecation notes, small data, a small SAM."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Notes of other packages about themselves or each other, at import or first use: nothing of ours can mend them.
THIRD_PARTY = [
    r"ignore:.*:DeprecationWarning:(monai|timm|open_clip|peft|transformers|segment_anything|torchvision|nibabel)(\..*)?",
    r"ignore:.*:FutureWarning:(monai|timm|open_clip|peft|transformers|segment_anything|torchvision)(\..*)?",
]


def pytest_configure(config: pytest.Config) -> None:
    """Let the packages that zoo_opt_seg leans on deprecate what they like; our own warnings stay errors."""
    for line in THIRD_PARTY:
        config.addinivalue_line("filterwarnings", line)


@pytest.fixture(autouse=True, scope="session")
def one_torch_thread() -> None:
    """xdist already uses the cores; results must not depend on their number."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the small real sets, from ZOO_OPT_SHARED or beside the repository; skips where it is absent."""
    folder = Path(os.environ.get("ZOO_OPT_SHARED", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent (set ZOO_OPT_SHARED)")
    return folder


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
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
    monkeypatch.setattr(endovis2017, "INSIDE", (20, 2, 100, 66))
