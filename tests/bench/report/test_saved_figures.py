"""Figures that a reader saves from the report: complete, the same without the page, each method in its own colour."""

import io
import itertools
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from bench.browser import opened
from bench.report.test_profiles import entry
from bench.synthetic import METHODS, bbob_names, record_of

from zoo_opt.bench.report.html import write_report
from zoo_opt.bench.report.line_looks import COLOURS, looks

SVG = "{http://www.w3.org/2000/svg}"
THIRTEEN = dict(list(METHODS.items())[:13])
FIGURES = ("targets", "curves", "profile", "more-wild")


@pytest.fixture(scope="module")
def thirteen(tmp_path_factory):
    record = record_of({"bbob, 100 d": (bbob_names((1, 8), (2, 5), (1, 2)), 100)}, THIRTEEN)
    for (k, (method, use)), number in itertools.product(enumerate(THIRTEEN.items()), (1, 2, 3)):
        run = entry(method, number, 3, 5 + 7 * k + number, 90, use=use, group="Moré & Wild")
        record.runs[f"{method}, {number}"] = run
    path = tmp_path_factory.mktemp("saved") / "report.html"
    write_report(record, path)
    return path


def save(page, section, kind):
    page.locator(f"#{section}").scroll_into_view_if_needed()
    page.wait_for_selector(f"#{section} .save")
    with page.expect_download() as download:
        page.locator(f"#{section} button:text-is('{kind}')").first.click()
    return download.value


def pixels(png):
    image = pytest.importorskip("PIL.Image").open(io.BytesIO(png)).convert("RGB")
    return np.asarray(image, dtype=float)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_saved_figure_is_complete_and_no_two_methods_share_a_colour(browser, thirteen, theme):
    with opened(browser, thirteen, theme=theme) as page:
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        for section in FIGURES:
            download = save(page, section, "SVG")
            assert re.fullmatch(r"[\w.-]+\.svg", download.suggested_filename)
            text = download.path().read_text()
            root = ET.fromstring(text)
            assert not re.search(r"var\(|light-dark|href|class=|style=|NaN", text)
            assert root.find(f"{SVG}rect").get("fill") == ground
            names = {t.text for t in root.iter(f"{SVG}text")}
            assert set(THIRTEEN) <= names, section
            lines = {p.get("stroke") for p in root.iter(f"{SVG}path") if p.get("stroke", "none") != "none"}
            grid = {"rgb(217, 222, 230)", "rgb(52, 59, 71)"}
            assert len(lines - grid) == 13, section


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_saved_figure_looks_the_same_outside_the_page(browser, thirteen, tmp_path, theme):
    """As a file that a browser opens, as the PNG, and, for one that came with the page, as it is on the page."""
    with opened(browser, thirteen, theme=theme) as page:
        for section in FIGURES:
            (tmp_path / f"{section}.svg").write_bytes(save(page, section, "SVG").path().read_bytes())
            (tmp_path / f"{section}.png").write_bytes(save(page, section, "PNG").path().read_bytes())
        on_page = pixels(page.locator("#more-wild figure svg").screenshot())
    for section in FIGURES:
        png = pixels((tmp_path / f"{section}.png").read_bytes())
        height, width = (n // 2 for n in png.shape[:2])
        other = browser.new_context(viewport={"width": width, "height": height}, device_scale_factor=2)
        page = other.new_page()  # its colour scheme is the usual one
        page.goto((tmp_path / f"{section}.svg").as_uri())
        alone = pixels(page.screenshot())
        other.close()
        assert png.std() > 10 and np.abs(png - alone[: png.shape[0], : png.shape[1]]).mean() < 1, section
    inside = pixels((tmp_path / "more-wild.png").read_bytes())[2 * 44 :: 2, 2 * 14 :: 2]
    height, width = (min(a, b) for a, b in zip(inside.shape[:2], on_page.shape[:2], strict=True))
    assert np.abs(inside[:height, :width] - on_page[:height, :width]).mean() < 8  # antialiasing of half the pixels


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_bars_of_a_card_are_saved_with_their_names_and_numbers(browser, thirteen, tmp_path, theme):
    with opened(browser, thirteen, theme=theme) as page:
        rows = page.locator("#cards [data-group='bbob, 100 d'] .rank tbody tr")
        said = [row.locator("td.n").nth(1).inner_text() for row in rows.all()]
        download = save(page, "cards", "SVG")
        root = ET.fromstring(download.path().read_text())
        png = pixels(save(page, "cards", "PNG").path().read_bytes())
    assert download.suggested_filename == "bbob-100-d-area-under-the-ecdf-95-intervals.svg"
    texts = [t.text for t in root.iter(f"{SVG}text")]
    assert set(THIRTEEN) <= set(texts) and len({c.get("fill") for c in root.iter(f"{SVG}circle")}) == 13
    assert len(said) == 13 and all(any(text.startswith(f"{area} ") for text in texts) for area in said)
    assert png.std() > 10


def oklab(code):
    """The colour in Björn Ottosson's OKLab (2020), where equal distances look about equal."""
    rgb = np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_lms = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]])
    to_lab = np.array([[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])
    return to_lab @ np.cbrt(to_lms @ linear)


def test_the_colours_of_the_theme_are_far_from_each_other(thirteen):
    css = re.findall(r"--c\d+: light-dark\((#\w{6}), (#\w{6})\);", thirteen.read_text())
    assert len(css) == COLOURS
    for scheme in zip(*css, strict=True):
        apart = [np.linalg.norm(oklab(a) - oklab(b)) for a, b in itertools.combinations(scheme, 2)]
        assert min(apart) > 0.1


def test_beyond_the_colours_of_the_theme_colours_and_lines_still_differ():
    made = [{"method": f"m{i}", "use": "spsa" if i % 2 else "scipy:x"} for i in range(40)]
    found = looks(made)
    assert list(found) == [f"m{i}" for i in (*range(1, 40, 2), *range(0, 40, 2))]
    assert len({look.color for look in found.values()}) == 40
    assert all((look.dash == "") == (i < COLOURS) for i, look in enumerate(list(found.values())[:20]))
    assert all(look.dash for look in list(found.values())[20:])
