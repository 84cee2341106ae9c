"""The picture panel and the page."""

import base64
import hashlib
import io
import json
import re
import shutil
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image
from seg.adapting import FILTER, quick
from seg.tiny_box import Bright, samples

from zoo_opt_seg.adaptation.charts import Chart, number, smoothed, ticks
from zoo_opt_seg.adaptation.folder import RunFolder
from zoo_opt_seg.adaptation.page import write_page
from zoo_opt_seg.adaptation.panel.cells import panel_html, read_captions
from zoo_opt_seg.adaptation.panel.pictures import CELL, COLUMNS, GAP, HEAD, chosen_rows, panel, save_panel
from zoo_opt_seg.blackbox import Counted
from zoo_opt_seg.visual_prompts import TrainedPrompt


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished run."""
    path = tmp_path_factory.mktemp("run") / "run"
    about = {"command": ["zoo-opt-seg", "adapt", "--model", "tiny", "--data", "folder:my scans <1>"]}
    quick(calls=300, test=True, panel=True, out=path, about=about)
    return path


def test_a_row_per_image_and_two_calls_each():
    model, data = Counted(Bright()), samples(3, 3)
    picture = panel(model, TrainedPrompt(FILTER, np.zeros(FILTER.dim, np.float32)), data)
    assert model.calls == 6
    assert picture.size == (len(COLUMNS) * (CELL + GAP) + GAP, HEAD + 3 * (CELL + HEAD))
    pixels = np.asarray(picture)
    first, prompted = (pixels[HEAD : HEAD + CELL, GAP + j * (CELL + GAP) :][:, :CELL] for j in (0, 2))
    far = np.abs(first.astype(int) - prompted).max(axis=2) > 30
    assert 20 < far.sum() < 400  # at x = 0 the prompted image is the image, but for the point drawn on it


def test_rows_go_from_the_largest_loss_to_the_largest_gain():
    before = [0.5] * 9
    after = [0.9, 0.1, 0.5, 0.6, 0.7, 0.8, 0.3, 0.2, None]
    assert chosen_rows(9, before, after) == [1, 6, 3, 4, 0] or chosen_rows(9, before, after) == [1, 6, 2, 4, 0]
    assert chosen_rows(2, before[:2], after[:2]) == [1, 0]
    assert chosen_rows(3, None, None) == [0, 1, 2]
    assert chosen_rows(1, [0.1], [0.2]) == [0]


def test_the_page_needs_nothing_else(folder):
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert not re.search(r'(?:src|href)="(?!data:|#)', text) and text.count("<script") == 1 and "url(" not in text
    assert text.count('href="data:image/png;base64,') == 1  # the cells are cuts of one sheet
    assert text.count('<use href="#panel"/>') == 6 * 5 and text.count("<svg") == 3 + 1 + 6 * 5
    words = re.sub(r'base64,[^"]*|<script>.*</script>', "", text, flags=re.S)
    assert "{{" not in words and "nan" not in words.lower()
    assert "my scans &lt;1&gt;" in text and "<1>" not in text
    metrics = json.loads((folder / "metrics.json").read_text())
    assert f"{metrics['test']['rows']['adapted']['dice']:.3f}" in text
    with Image.open(folder / "panel.png") as picture:
        assert picture.width == len(COLUMNS) * (CELL + GAP) + GAP
    assert not (folder / "state" / "panel").exists()


def test_a_browser_runs_the_script_of_the_page_and_no_other(folder):
    text = (folder / "index.html").read_text(encoding="utf-8")
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'; " in text and "'unsafe-inline'; style" not in text


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_figure_of_the_page_can_be_saved(folder, browser, theme):
    context = browser.new_context(color_scheme=theme, offline=True, viewport={"width": 390, "height": 844})
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto((folder / "index.html").as_uri())
    saved = {}
    for button in page.locator(".save button").all():
        with page.expect_download() as download:
            button.click()
        saved[download.value.suggested_filename] = download.value.path().read_bytes()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    rows = page.locator(".bars .value").all_inner_texts()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    context.close()
    names = ("dice-of-each-row", "dice-of-each-test-image-before-and-after", "training-loss-over-calls")
    assert complaints == [] and set(saved) == {
        f"{name}.{kind}" for name in (*names, "validation-dice-over-calls") for kind in ("svg", "png")
    }
    for name, content in saved.items():
        if name.endswith(".png"):
            with Image.open(io.BytesIO(content)) as picture:
                assert picture.width > 600 and np.asarray(picture.convert("L"), float).std() > 5, name
        else:
            root = ET.fromstring(content.decode())
            assert root[0].get("fill") == ground and b"class=" not in content and b"var(" not in content
    bars = saved["dice-of-each-row.svg"].decode()
    assert all(f">{value}<" in bars for value in rows) and bars.count("<rect") == 1 + len(rows)
    assert 'fill-opacity="0.6"' in saved["dice-of-each-test-image-before-and-after.svg"].decode()


@pytest.mark.parametrize("without", ["panel", "test", "marks"])
def test_the_page_does_without_parts(folder, tmp_path, without):
    path = tmp_path / "copy"
    shutil.copytree(folder, path)
    run = RunFolder(path)
    metrics = json.loads(run.metrics.read_text())
    if without == "panel":
        run.panel.unlink()
    else:
        metrics.pop("test")
        if without == "marks":
            metrics["marks"] = []
    run.metrics.write_text(json.dumps(metrics))
    write_page(run)
    text = run.page.read_text(encoding="utf-8")
    assert ("Pictures" in text) is (without != "panel")
    assert ("Measures" in text) is (without == "panel")


def test_captions_are_text_of_the_page(folder, tmp_path):
    said = read_captions(folder / "panel.png")
    assert said.columns == ["image", "point prompt", *COLUMNS[2:]] and len(said.rows) == 5
    name, *_, before, after, _ = said.rows[0]
    assert name in json.loads((folder / "metrics.json").read_text())["test"]["images"]["names"]
    assert all(re.fullmatch(r"Dice {2}\d\.\d{3}", text) for text in (before, after))
    page = panel_html(folder / "panel.png")
    assert f"<small>{after}</small>" in page and f'aria-label="{name}"' in page


@pytest.mark.parametrize(
    "captions",
    [
        None,
        "{",
        "[]",
        '{"columns": ["a"], "rows": [["x"]]}',
        json.dumps({"columns": ["<b>"] * 6, "rows": [[1] * 6] * 4 + [[1]]}),
    ],
)
def test_a_panel_without_fitting_captions_is_shown_as_it_is(folder, tmp_path, captions):
    with Image.open(folder / "panel.png") as picture:
        picture.info["captions"] = captions
        if captions is None:
            picture.save(tmp_path / "panel.png")
        else:
            save_panel(picture, tmp_path / "panel.png")
    page = panel_html(tmp_path / "panel.png")
    assert page.startswith('<div class="scroll" tabindex="0"><img') and "<b>" not in page


def test_captions_are_escaped(tmp_path):
    picture = panel(Bright(), TrainedPrompt(FILTER, np.zeros(FILTER.dim, np.float32)), samples(1, 1))
    picture.info["captions"] = json.dumps({"columns": ["<i>"] * 6, "rows": [['"><b>'] * 6]})
    save_panel(picture, tmp_path / "panel.png")
    page = panel_html(tmp_path / "panel.png")
    assert "<i>" not in page and "<b>" not in page and "&lt;i&gt;" in page


def test_charts():
    assert ticks(0.0, 1.0, 5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(2.0, 2.0, 5) == [2.0] and number(3200.0) == "3,200" and number(0.25) == "0.25"
    assert smoothed([(i, i) for i in range(100)], 10)[0] == (4.5, 4.5)
    chart = Chart("x", "y", (0.0, 0.0), (1.0, 1.0))
    chart.line([(0.0, 1.0)], "c0")
    assert "nan" not in chart.svg("a < b") and "a &lt; b" in chart.svg("a < b")


def test_the_page_in_a_browser(folder, browser):
    for width, scheme, colour in ((390, "light", "rgb(255, 255, 255)"), (1280, "dark", "rgb(18, 21, 26)")):
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        said = []
        page.on("console", lambda message, said=said: said.append(message.text))
        page.goto((folder / "index.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        cells = page.locator(".cells").first.locator(".cell")
        tops = {round(cells.nth(k).bounding_box()["y"]) for k in range(6)}
        assert len(tops) == (2 if width == 390 else 1)  # three beside each other on a phone, all on a desk
        assert all(0 <= cells.nth(k).bounding_box()["x"] <= width - 100 for k in range(6))
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == colour
        page.locator("input[value=dark]").check(force=True)
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 21, 26)"
        assert said == []
        page.close()
