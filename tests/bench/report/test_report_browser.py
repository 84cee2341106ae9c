"""What a reader does with the report's page, in a real browser: it opens quietly, and everything on it works."""

import gzip

import pytest
from bench.browser import PHONE, opened
from bench.runs import record as runs_record
from bench.runs import run
from bench.synthetic import full_record, lines, small_record, task_runs

from zoo_opt.bench.report.comparison import compare
from zoo_opt.bench.report.html import write_report
from zoo_opt.bench.statistics.hits import by_group
from zoo_opt.bench.statistics.stats import summaries

SECTIONS = ("glance", "targets", "parts", "curves", "final", "ert", "tests", "profile", "compare", "made", "read")


def visit(page, section):
    """Scroll to a section and wait until it has been drawn."""
    page.locator(f"#{section}").scroll_into_view_if_needed()
    page.wait_for_selector(f"#{section}:not([data-lazy=waiting])")


def visit_all(page):
    for section in filter(lambda name: page.locator(f"#{name}").is_visible(), SECTIONS):
        visit(page, section)


def shown(page, section, column):
    """Texts of one column of a section's first table."""
    visit(page, section)
    table = page.locator(f"#{section} .table").first
    heads = table.locator("th button").all_text_contents()
    return table.locator(f"tbody td:nth-child({heads.index(column) + 1})").all_text_contents()


def test_every_section_has_something_to_show(page):
    for group in ("bbob, 100 d", "digits MLP", "policy search"):
        page.select_option("#group", group)
        visit_all(page)
        assert page.locator("#ecdf-chart svg").is_visible() == (group != "policy search")
        page.wait_for_selector("#curves-box figure svg")
        assert len(shown(page, "final", "method")) > 2
        assert len(shown(page, "tests", "p")) > 1


def every_run(**changes):
    return lambda record: {key: run | changes for key, run in record.runs.items()}


def strange_names(record):
    odd = "</script><b>&'\""
    return {k: r | {name: r[name] + odd for name in ("group", "problem", "method")} for k, r in record.runs.items()}


NONE = [None] * 51
ODD = {
    "first run": lambda record: dict([next(iter(record.runs.items()))]),
    "all failed": every_run(error="no", figures={}, curve=[], hits=NONE),
    "all diverged": every_run(figures={"precision": None}, curve=[[1, None], [2, None]], hits=NONE),
    "strange names": strange_names,
    "one seed of a task": lambda record: task_runs("policy search", "cartpole-d9610", "cost", seeds=(1,)),
    "solved at once": every_run(hits=[1] * 51, nfev=1, curve=[[1, 0.0]], figures={"precision": 0.0}),
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_records_open_quietly(browser, tmp_path, odd):
    record = small_record()
    record.runs = ODD[odd](record)
    write_report(record, tmp_path / "odd.html", record)
    with opened(browser, tmp_path / "odd.html") as page:
        visit_all(page)
        assert "NaN" not in page.locator("main").inner_text() and "undefined" not in page.locator("main").inner_text()
        assert page.locator("[d*=NaN], [d*=Infinity], [x1*=NaN], [y*=NaN]").count() == 0
        assert page.locator('main b:text-is("&\'")').count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") == 1280


def test_the_overview_ranks_every_group(page, records):
    for group, runs in by_group(records[0].runs.values()).items():
        card = page.locator(f".card[data-group='{group}']")
        card.scroll_into_view_if_needed()
        assert card.locator("tbody th").all_text_contents() == [s.method for s in summaries(runs)]
    best = summaries(by_group(records[0].runs.values())["bbob, 300 d"])[0]
    text = page.locator(".card[data-group='bbob, 300 d'] .body").text_content()
    assert f"{best.method} leads (area {best.area:.3f})" in text


AREA = [[10, 20, 30], [20, 30, 40]]  # hits on two problems, of a budget of 1000


def moved(hits, factor):
    return [round(hit * factor) for hit in hits]


HEADLINES = {
    "near and level": ({"b": 1.05}, "Near it, and not told apart by the paired rank test: b."),
    "level but far": ({"b": 9}, "No other is near it. The test is not sure about 1 method further behind."),
    "both": ({"b": 1.05, "c": 9}, "rank test: b. The test is not sure about 1 method further behind."),
}


@pytest.mark.parametrize("case", HEADLINES)
def test_a_headline_names_methods_that_are_near_and_not_told_apart(browser, tmp_path, case):
    factors, text = HEADLINES[case]
    made = [
        run(method, f"p{i}", hits=moved(hits, factor), budget=1000)
        for method, factor in {"a": 1, **factors}.items()
        for i, hits in enumerate(AREA)
    ]
    assert text in headline(browser, tmp_path, made)


def test_a_headline_tells_apart_what_the_test_does(browser, tmp_path):
    """Twelve problems and a method a little slower on each: near it is, but not level."""
    made = [run(m, f"p{i}", hits=[20 + i + d], budget=1000) for m, d in (("a", 0), ("b", 1)) for i in range(12)]
    assert "Ahead of every other by the paired rank test" in headline(browser, tmp_path, made)


@pytest.mark.parametrize("figure", ["cost", "precision"])
@pytest.mark.parametrize(("final", "near"), [(1.09, True), (1.11, False)])
def test_near_is_within_a_tenth_of_the_final_figure_where_there_are_no_targets(browser, tmp_path, figure, final, near):
    sign = -1 if figure == "cost" else 1
    values = {"a": sign, "b": sign + (final - 1)}
    made = [run(m, seed=s, curve_of=figure, figures={figure: v}) for m, v in values.items() for s in (1, 2)]
    assert ("Near it" in headline(browser, tmp_path, made)) == near


def headline(browser, tmp_path, made):
    write_report(runs_record(made), tmp_path / "r.html")
    with opened(browser, tmp_path / "r.html") as page:
        assert page.locator("#near").text_content() == "10 %"
        return page.locator(".card .body p:not(.soft)").text_content()


def test_filters_act_on_charts_and_tables(page):
    lines_drawn = page.locator("#ecdf-chart path.line")
    assert lines_drawn.count() == 4
    before = lines_drawn.first.get_attribute("d")
    areas = shown(page, "targets", "area under ECDF")
    page.click(".chip:text-is('5')")
    assert lines_drawn.first.get_attribute("d") != before
    assert shown(page, "targets", "area under ECDF") != areas
    assert {text.split(", ")[-1] for text in shown(page, "final", "problem")} == {"5-D"}
    assert page.locator(".card[data-group='bbob, 300 d'] .soft").first.text_content().startswith("6 problems · 5-D")
    page.click(".chip:text-is('multi-modal')")
    assert set(shown(page, "final", "problem")) == {"f15 Rastrigin, 5-D"}
    visit(page, "curves")
    assert page.locator("#curves-box figcaption > span:first-child").all_text_contents() == ["f15 Rastrigin, 5-D"]
    page.uncheck("input[data-method='auto']")
    visit(page, "targets")
    assert lines_drawn.count() == 3
    assert not any("auto" in text for text in shown(page, "targets", "method"))
    assert page.locator(".card[data-group='bbob, 100 d'] tbody tr").count() == 3
    page.click("button[aria-label='Only CMA-ES, BIPOP']")
    assert page.locator("#ecdf-chart path.line").count() == 1
    page.click("#reset")
    assert lines_drawn.count() == 4 and shown(page, "targets", "area under ECDF") == areas


def test_a_filter_that_leaves_nothing_says_so(page):
    for name in page.locator("#filters input[data-method]").evaluate_all("all => all.map((e) => e.dataset.method)"):
        page.uncheck(f"input[data-method='{name}']")
    assert page.locator("#nothing").is_visible() and not page.locator("#targets").is_visible()
    page.click("#reset")
    assert not page.locator("#nothing").is_visible()


def test_methods_that_ran_less_are_not_ranked_until_only_common_problems_count(browser, tmp_path):
    record = small_record()
    record.runs = {k: r for k, r in record.runs.items() if r["method"] != "auto" or r["dim"] == 2}
    write_report(record, tmp_path / "r.html")
    runs = by_group(record.runs.values())["bbob, 100 d"]
    with opened(browser, tmp_path / "r.html") as page:
        card = page.locator(".card[data-group='bbob, 100 d']")
        assert card.locator("tbody tr").last.text_content().startswith("–auto 6 of 12")
        assert "left out" in (visit(page, "profile") or page.locator("#profile-left").text_content().lower())
        page.check("text=only problems that every shown method has run")
        expected = [s.method for s in summaries([run for run in runs if run["dim"] == 2])]
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_selector(".card[data-group='bbob, 100 d'] .soft:has-text('6 problems')")
        assert card.locator("tbody th").all_text_contents() == expected
        page.uncheck("input[data-method='auto']")
        page.wait_for_selector(".card[data-group='bbob, 100 d'] .soft:has-text('12 problems')")


def test_cards_choose_the_group(page):
    page.click(".card[data-group='digits MLP'] h3 button")
    assert page.locator("#targets .group-name").text_content() == "digits MLP"
    assert page.locator("#group").input_value() == "digits MLP"
    assert any("SPSA" in text for text in shown(page, "final", "method"))


def test_tables_sort_turn_pages_and_are_searched(page):
    medians = [float("inf") if t == "∞" else None for t in shown(page, "final", "median")]
    assert len(medians) == 24  # six families, four methods
    head = page.locator("#final th button:text-is('evaluations')")
    for press, order in ((head.click, "ascending"), (lambda: head.press("Enter"), "descending")):
        press()
        values = [int(text.replace(",", "")) for text in shown(page, "final", "evaluations")]
        assert values == sorted(values, reverse=order == "descending")
        assert page.locator(f"#final th[aria-sort='{order}']").text_content() == "evaluations"
    page.fill("#final input[type=search]", "rosenbrock 2-d auto")
    assert shown(page, "final", "problem") == ["f8 Rosenbrock, 2-D"]
    page.fill("#final input[type=search]", "no such thing")
    assert page.locator("#final [role=status]").text_content() == "Nothing to show."


def test_running_times_follow_the_target(page):
    visit(page, "ert")
    before = page.locator("#ert tbody").text_content()
    page.select_option("#target", label="100")
    assert page.locator("#ert tbody").text_content() != before
    visit(page, "tests")
    page.select_option("#against", label="every other: all pairs")
    assert page.locator("#tests tbody tr").count() == 6


def test_tables_are_taken_along_as_csv(page):
    visit(page, "final")
    with page.expect_download() as download:
        page.click("#final button:text-is('Save as CSV')")
    text = download.value.path().read_text()
    assert text.startswith("problem,method,median") and len(text.splitlines()) == 25


def test_charts_are_read_by_pointer_and_by_keys(page):
    chart = page.locator("#ecdf-chart svg")
    chart.scroll_into_view_if_needed()
    chart.hover()
    assert page.locator(".tip").is_visible() and page.locator(".tip tr").count() == 4
    page.mouse.move(2, 2)
    assert not page.locator(".tip").is_visible()
    chart.focus()
    page.keyboard.press("ArrowRight")
    first = page.locator(".tip b").text_content()
    page.keyboard.press("ArrowRight")
    assert page.locator(".tip b").text_content() != first
    page.keyboard.press("Escape")
    assert not page.locator(".tip").is_visible()


def test_a_small_chart_is_enlarged(page):
    visit(page, "curves")
    page.locator("#curves figure button[title=Enlarge]").first.click()
    assert page.locator("dialog .chart svg .line").count() == 4
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")


def test_theme_follows_the_system_and_the_switch(browser, report):
    ground = "getComputedStyle(document.body).backgroundColor"
    with opened(browser, report, theme="dark") as page:
        dark = page.evaluate(ground)
        page.click("label:has(input[value='light'])")
        light = page.evaluate(ground)
        assert light == "rgb(255, 255, 255)" != dark
        page.emulate_media(color_scheme="light")
        page.click("label:has(input[value='dark'])")
        assert page.evaluate(ground) == dark
        page.click("label:has(input[value='auto'])")
        assert page.evaluate(ground) == light
    with opened(browser, report, theme="light") as page:
        assert page.evaluate(ground) == light


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_stand_out_from_the_ground(browser, tmp_path, theme):
    """Text by 4.5 to 1, lines by 3 to 1 (WCAG 2, 1.4.3 and 1.4.11)."""
    script = """() => { const probe = document.body.appendChild(document.createElement("i")); const read = (name) => {
        probe.style.color = `var(--${name})`; return getComputedStyle(probe).color.match(/[\\d.]+/g).map(Number); };
        const names = ["bg", "card", "text", "soft", "accent", "good", "bad"];
        const own = Object.entries(result.looks).map(([name, look]) => { probe.style.color = look.color;
          return [name, getComputedStyle(probe).color.match(/[\\d.]+/g).map(Number)]; });
        return Object.fromEntries([...names.map((name) => [name, read(name)]), ...own]); }"""

    def luminance(rgb):
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in rgb[:3])]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    made = [run(f"c{i}", use="spsa" if i < 3 else "scipy:x") for i in range(24)]
    write_report(runs_record(made), tmp_path / "r.html")
    with opened(browser, tmp_path / "r.html", theme=theme) as page:
        found = page.evaluate(script)
    assert len({tuple(rgb) for name, rgb in found.items() if name.startswith("c") and name != "card"}) == 24
    colours = {name: luminance(rgb) for name, rgb in found.items()}
    for ground in ("bg", "card"):
        for name in colours.keys() - {"bg", "card"}:
            low, high = sorted((colours[ground], colours[name]))
            assert (high + 0.05) / (low + 0.05) >= (3 if name.startswith("c") else 4.5), (ground, name)


def test_a_phone_scrolls_one_way_only(browser, report, records, tmp_path):
    write_report(records[0], tmp_path / "both.html", records[1])
    with opened(browser, tmp_path / "both.html", viewport=PHONE) as page:
        for section in SECTIONS:
            visit(page, section)
            assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], section
        page.evaluate("scrollTo(0, 0)")
        assert not page.locator("#filters").is_visible()
        page.click("#side > summary")
        page.click(".chip:text-is('2')")
        assert "2-D" in page.locator("#chosen").text_content()
        page.click("nav a:text-is('Rank tests')")
        assert not page.locator("#filters").is_visible()  # out of the way of what was asked for
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


@pytest.mark.parametrize("kind", ["runs.jsonl", "runs.jsonl.gz", "earlier.html"])
def test_an_earlier_result_is_loaded(page, records, tmp_path, kind):
    path = tmp_path / kind
    if kind == "earlier.html":
        write_report(records[1], path)
    elif kind.endswith(".gz"):
        path.write_bytes(gzip.compress(lines(records[1]).encode()))
    else:
        path.write_text(lines(records[1]) + '{"kind": "run", "torn')
    visit(page, "compare")
    page.set_input_files("#earlier-file", path)
    page.wait_for_selector("#compare tbody tr")
    total = len(records[0].runs)
    assert f"{total} runs shown here are in both" in page.locator("#compare-box").text_content()
    expected = {(d.group, d.method): d for d in compare(records[1], records[0])}
    groups, methods, gains = (shown(page, "compare", name) for name in ("group", "method", "gain"))
    assert len(gains) == len(expected)
    for group, method, gain in zip(groups, methods, gains, strict=True):
        found = expected[group, method.removesuffix("peer").removesuffix("zoo-opt")].gain.estimate
        assert float(gain.replace("−", "-")) == pytest.approx(found, abs=6e-4)
    page.uncheck("input[data-method='auto']")
    assert not any("auto" in text for text in shown(page, "compare", "method"))


def test_what_cannot_be_compared_is_said(page, tmp_path):
    visit(page, "compare")
    mistakes = {"hello\n": "line 1 is not an entry", "<html></html>": "embeds no runs", "": "holds no run"}
    for content, message in mistakes.items():
        (tmp_path / "x.jsonl").write_text(content)
        page.set_input_files("#earlier-file", [])
        page.set_input_files("#earlier-file", tmp_path / "x.jsonl")
        page.wait_for_selector(f"#compare .problem:has-text('{message}')")
    (tmp_path / "other.jsonl").write_text(lines(small_record()).replace("bbob", "other"))
    page.set_input_files("#earlier-file", tmp_path / "other.jsonl")
    page.wait_for_selector("#compare p:has-text('no run in common')")


@pytest.mark.slow
def test_the_full_suite_opens_quickly(browser, tmp_path):
    path = tmp_path / "full.html"
    write_report(full_record(), path)
    assert path.stat().st_size < 10_000_000
    with opened(browser, path) as page:
        opening = int(page.evaluate("document.documentElement.dataset.ready"))
        print(f"report of the full suite: {path.stat().st_size / 1e6:.1f} MB, opens in {opening} ms")
        assert opening < 3000
        for section in SECTIONS:
            visit(page, section)
        assert page.locator("tr").count() < 400
        assert page.locator("*").count() < 20_000
        page.wait_for_selector("#curves details")
        page.click("#curves summary:has-text('separable')")
        page.wait_for_selector("#curves figure svg")
        start = page.evaluate("performance.now()")
        page.click(".chip:text-is('40')")
        assert page.evaluate("performance.now()") - start < 3000
