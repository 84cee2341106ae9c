"""Files of a result that somebody else made: no markup of theirs reaches a page, and no other error leaves a reader."""

import copy
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import save
from seg.adapting import quick
from seg.tiny_box import SIZE

from zoo_opt.core.errors import CheckpointError
from zoo_opt_seg.adaptation.folder import RunFolder
from zoo_opt_seg.adaptation.page import write_page
from zoo_opt_seg.refine import Refiner, load_refiner
from zoo_opt_seg.refine.network import RefinerConfig, RefinerNet
from zoo_opt_seg.visual_prompts import load_prompt, make_prompt, save_prompt
from zoo_opt_seg.visual_prompts.saved import PromptFileError

MARKUP = '"><script>alert(1)</script>'
FORGED = (MARKUP, None, True, -1, 10**9, 10**400, 1e308, [], {"a": 1}, [[]], "\ud800")


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a JSON value has parts; of lists the first two."""
    yield place
    parts = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for name, part in parts:
        yield from places(part, (*place, name))


def forged(value: Any, others: tuple[Any, ...] = FORGED) -> Iterator[str]:
    """JSON with one part that is another, and what is no JSON object at all."""
    for place in places(value):
        for other in others:
            if not place:
                yield json.dumps(other)
                continue
            changed = copy.deepcopy(value)
            part = changed
            for name in place[:-1]:
                part = part[name]
            part[place[-1]] = other
            yield json.dumps(changed)
    yield from ("[" * 100_000 + "]" * 100_000, "", "{}", '{"a":')


def refusals(texts: Iterator[str], write: Callable[[str], object], read: Callable[[], object], error: Any) -> int:
    """How many of the texts are refused; any other error is raised."""
    count = 0
    for text in texts:
        write(text)
        try:
            read()
        except error:
            count += 1
    return count


@pytest.mark.parametrize("name", ["config.json", "metrics.json", "log.jsonl"])
def test_no_forged_result_puts_markup_into_a_page(name: str, tmp_path: Path) -> None:
    quick(out=tmp_path, calls=120, validate=2, test=True, repeats=1)
    folder, path = RunFolder(tmp_path), tmp_path / name
    whole, *rest = path.read_text().splitlines() if name == "log.jsonl" else [path.read_text()]

    def page() -> None:
        write_page(folder)
        text = folder.page.read_text()
        assert MARKUP not in text and text.count("<script") == 1  # ours

    page()
    write = lambda text: path.write_text("\n".join([text, *rest, ""]))  # noqa: E731
    assert refusals(forged(json.loads(whole), (MARKUP, 10**400)), write, page, CheckpointError) > 3


@pytest.mark.parametrize("name", ["vpt", "filter", "lowrank", "views"])
def test_nothing_but_its_own_error_leaves_the_reader_of_a_prompt(name: str, tmp_path: Path) -> None:
    """One of a few kB had taken 8 GB, by the numbers in its settings."""
    prompt, path = make_prompt(name, SIZE), tmp_path / "prompt.npz"
    save_prompt(path, prompt, prompt.x0(), {"calls": 1})
    with np.load(path) as file:
        arrays = dict(file)

    def write(text: str, **changes: Any) -> None:
        buffer = io.BytesIO()
        np.savez(buffer, **{**arrays, "header": np.frombuffer(text.encode(), np.uint8), **changes})
        path.write_bytes(buffer.getvalue())

    header = arrays["header"].tobytes().decode()
    write(header)
    assert np.array_equal(load_prompt(path).x, prompt.x0())
    assert refusals(forged(json.loads(header)), write, lambda: load_prompt(path), PromptFileError) > 30
    for x in (np.full(prompt.dim, np.nan), np.zeros(prompt.dim, complex), np.zeros(prompt.dim, "U3")):
        write(header, x=x)
        with pytest.raises(PromptFileError, match="x must hold finite floats"):
            load_prompt(path)


def test_nothing_but_its_own_error_leaves_the_reader_of_a_refiner(tmp_path: Path) -> None:
    path = tmp_path / "refiner.safetensors"
    Refiner([RefinerNet(RefinerConfig(channels=(4, 8))) for _ in range(2)]).save(path)
    with safe_open(path, framework="pt") as file:
        about, values = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    def write(text: str, **changes: str) -> None:
        path.write_bytes(save(values, metadata={**about, "config": text, **changes}))

    write(about["config"])
    assert load_refiner(path).config.channels == (4, 8)
    assert refusals(forged(json.loads(about["config"])), write, lambda: load_refiner(path), CheckpointError) > 20
    for changes in ({"nets": n} for n in ("0", "1", "3", "-1", "1e9", "99999999", "x", "")):
        write(about["config"], **changes)
        with pytest.raises(CheckpointError, match=r"refiner\.safetensors"):
            load_refiner(path)
    for changes in ({"share": share} for share in ("nan", "inf", "-0.1", "1.1", "x", "")):
        write(about["config"], **changes)
        with pytest.raises(CheckpointError, match=r"refiner\.safetensors"):
            load_refiner(path)
