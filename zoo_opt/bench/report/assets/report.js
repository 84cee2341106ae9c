// The page: what is chosen, the filters that choose it, and the views that follow.

const parse = (id) => {
  const text = byId(id)?.textContent.trim();
  return text ? fromData(JSON.parse(text)) : null;
};
const result = parse("data");
const look = (method) => result.looks[method.name] ?? { color: "var(--soft)", dash: "", width: 2 };

// Sets of what is chosen; an empty one means all. Methods are hidden one by one, so theirs holds what is not shown.
const chosen = { group: result.groups[0], dims: new Set(), kinds: new Set(), hidden: new Set(), common: false, bands: false, target: null, against: null };
const clear = () => { for (const name of ["dims", "kinds", "hidden"]) chosen[name].clear(); chosen.common = false; };

const byGroup = groupBy(result.runs, (run) => run.group);
const passes = (run) => (!chosen.dims.size || chosen.dims.has(run.problem.dim)) && (!chosen.kinds.size || chosen.kinds.has(run.problem.kind))
  && !chosen.hidden.has(run.method.name);
const filtered = (group) => {
  const runs = (byGroup.get(group) ?? []).filter(passes);
  if (!chosen.common) return runs;
  const methods = new Set(runs.map((run) => run.method)).size;
  const shared = new Set([...groupBy(runs, (run) => run.problem)].filter(([, own]) => new Set(own.map((run) => run.method)).size === methods)
    .map(([problem]) => problem));
  return runs.filter((run) => shared.has(run.problem));
};

// --- filters ---

const toggle = (set, value) => { if (!set.delete(value)) set.add(value); };
const chip = (text, on, act) => h("button.chip", { type: "button", "aria-pressed": String(on), onclick: act }, text);
const chips = (title, set, values, name = String) => values.length > 1 && h("fieldset", {}, h("legend", {}, title), h("div.chips", {},
  chip("all", !set.size, () => { set.clear(); update(); }),
  values.map((value) => chip(name(value), set.has(value), () => { toggle(set, value); update(); }))));

const methodBoxes = (runs) => {
  const present = new Set(runs.map((run) => run.method.name));
  const methods = result.methods.filter((method) => present.has(method.name)).sort((a, b) => b.ours - a.ours);
  const only = (some) => { methods.forEach(({ name }) => chosen.hidden.add(name)); some.forEach(({ name }) => chosen.hidden.delete(name)); update(); };
  const ours = methods.filter((method) => method.ours);
  return h("fieldset.methods", {}, h("legend", {}, "Methods"),
    h("div.chips", {}, h("button.quiet", { type: "button", onclick: () => only(methods) }, "all"),
      ours.length && ours.length < methods.length ? [h("button.quiet", { type: "button", onclick: () => only(ours) }, "zoo-opt"),
        h("button.quiet", { type: "button", onclick: () => only(methods.filter((method) => !method.ours)) }, "peers")] : null),
    methods.map((method) => h("div.method", { onpointerenter: () => highlight(method.name), onpointerleave: () => highlight(null) },
      h("label", {}, h("input", { type: "checkbox", checked: !chosen.hidden.has(method.name), "data-method": method.name,
        onfocus: () => highlight(method.name), onblur: () => highlight(null),
        onchange: () => { toggle(chosen.hidden, method.name); update(); } }), swatch(look(method)), h("span", {}, method.name)),
      h("button.quiet.only", { type: "button", "aria-label": `Only ${method.name}`, onclick: () => only([method]) }, "only"))));
};

const drawFilters = () => {
  const runs = byGroup.get(chosen.group) ?? [];
  const dims = unique(runs.map((run) => run.problem.dim)).sort((a, b) => a - b);
  const kinds = unique(runs.map((run) => run.problem)).sort((a, b) => a.order - b.order).map(({ kind }) => kind).filter(Boolean);
  const select = h("select", { id: "group", onchange: () => choose(result.groups[select.selectedIndex]) },
    result.groups.map((group) => h("option", { selected: group === chosen.group }, group.name)));
  const perMethod = [...groupBy(runs, (run) => run.method).values()].map((own) => new Set(own.map((run) => run.problem)).size);
  const uneven = Math.max(...perMethod) > Math.min(...perMethod);
  const focus = document.activeElement?.closest?.("#filters") && labelOf(document.activeElement);
  byId("filters").replaceChildren(...[
    h("div", {}, h("label", { for: "group" }, "Group"), select),
    chips("Dimension", chosen.dims, dims, whole),
    chips("Function class", chosen.kinds, unique(kinds)),
    methodBoxes(runs),
    uneven && h("label.common", {}, h("input", { type: "checkbox", checked: chosen.common, onchange: () => { chosen.common = !chosen.common; update(); } }),
      h("span", {}, "only problems that every shown method has run")),
    h("button.quiet", { type: "button", id: "reset", onclick: () => { clear(); update(); } }, "Reset filters"),
  ].filter(Boolean));
  if (focus) [...byId("filters").querySelectorAll("button, input, select")].find((element) => labelOf(element) === focus)?.focus();
  const shown = perMethod.length - [...new Set(runs.map((run) => run.method.name))].filter((name) => chosen.hidden.has(name)).length;
  byId("chosen").textContent = [chosen.group.name, chosen.dims.size ? `${[...chosen.dims].join(", ")}-D` : null, ...chosen.kinds,
    `${shown} of ${plural(perMethod.length, "method")}`].filter(Boolean).join(" · ");
};
byId("filters").addEventListener("submit", (event) => event.preventDefault());
const labelOf = (element) => element.id || element.dataset.method || element.getAttribute("aria-label") || element.textContent;

const choose = (group) => {
  chosen.group = group;
  const problems = (byGroup.get(group) ?? []).map((run) => run.problem);
  for (const [set, field] of [[chosen.dims, "dim"], [chosen.kinds, "kind"]]) {
    if (set.size && !problems.some((problem) => set.has(problem[field]))) set.clear();
  }
  update();
};

// --- views ---

const tables = {
  summary: sortable({ label: "All figures", file: "summary" }),
  parts: sortable({ label: "Area under the ECDF by dimension and function class", file: "parts" }),
  final: sortable({ label: "Final figures", file: "final", search: "Find a problem or method" }),
  ert: sortable({ label: "Expected evaluations / d until the target", file: "ert", search: "Find a problem" }),
  tests: sortable({ label: "Paired tests", file: "tests" }),
};
for (const [name, { element }] of Object.entries(tables)) byId(`${name}-table`).append(element);

const options = (id, entries, current, act) => {
  const select = byId(id);
  select.replaceChildren(...entries.map(([text, value]) => h("option", { selected: value === current }, text)));
  select.onchange = () => act(entries[select.selectedIndex][1]);
};

const once = (make) => {
  let made;
  return () => (made ??= make());
};
const cards = result.groups.map((group) => emptyCard(group, () => choose(group)));
byId("cards").append(...cards);

byId("near").textContent = percent(NEAR);

const drawGlance = (groups) => result.groups.forEach((group, i) => {
  const { runs, figures } = groups.get(group);
  cards[i].classList.toggle("chosen", group === chosen.group);
  cards[i].querySelector("button").setAttribute("aria-pressed", String(group === chosen.group));
  whenNear(cards[i], () => fillCard(cards[i], runs, figures, look));
});

const drawGroup = ({ runs, figures }) => {
  for (const section of document.querySelectorAll("[data-of-group]")) section.hidden = !runs.length;
  for (const name of document.querySelectorAll(".group-name")) name.textContent = chosen.group.name;
  byId("note").textContent = chosen.group.note;
  byId("nothing").hidden = runs.length > 0;
  if (!runs.length) return;
  const { figure } = runs[0].problem;
  const byArea = runs.some((run) => run.problem.targets.length);
  for (const section of document.querySelectorAll("[data-targets]")) section.hidden = section.hidden || !byArea;
  byId("figure-name").textContent = result.names[figure] ?? figure;
  whenNear(byId("targets"), () => {
    if (byArea) drawEcdf(figures().rows);
    tables.summary.update(figures().rows, summaryColumns(figures(), look, result.names, figure));
  });
  const parts = partsOf(runs);
  byId("parts").hidden = !byArea || parts.length < 2;
  if (!byId("parts").hidden) whenNear(byId("parts"), () => tables.parts.update(partRows(figures().rows, parts), partColumns(parts, look)));
  whenNear(byId("curves"), () => curves(byId("curves-box"), runs, look, result.names));
  whenNear(byId("final"), () => tables.final.update(finalRows(runs), finalColumns(look)));
  if (byArea) whenNear(byId("ert"), () => drawTimes(runs, figures().rows));
  whenNear(byId("tests"), () => drawTests(figures().rows));
  if (byArea) whenNear(byId("profile"), () => drawProfile(figures().rows));
};

const drawEcdf = (rows) => {
  byId("bands").checked = chosen.bands;
  byId("bands").onchange = () => { chosen.bands = byId("bands").checked; drawEcdf(rows); };
  ecdfChart(byId("ecdf-chart"), rows, look, chosen.bands || rows.length <= 3);
};

const drawProfile = (rows) => {
  const left = profileChart(byId("profile-chart"), rows, look);
  byId("profile-left").textContent = left.length ? `Left out, for they ran fewer problems: ${left.join(", ")}.` : "";
};

const drawTimes = (runs, rows) => {
  const targets = unique(runs.flatMap((run) => run.problem.targets)).sort((a, b) => b - a);
  const target = targets.find((t) => t === chosen.target) ?? targets.find((t) => near(t, 1e-3)) ?? targets[Math.floor(targets.length / 2)];
  const drawErt = (value) => {
    chosen.target = value;
    tables.ert.update(ertRows(runs, value), ertColumns(rows.map((row) => row.method)));
  };
  options("target", targets.map((t) => [say(t), t]), target, drawErt);
  drawErt(target);
};

const drawTests = (rows) => {
  const names = rows.map((row) => row.method.name);
  const draw = (against) => {
    chosen.against = against;
    const found = testRows(rows, against === "all" ? null : against);
    tables.tests.update(found, testColumns(look, found[0]?.measure ?? ""));
  };
  const against = chosen.against === "all" || names.includes(chosen.against) ? chosen.against : names[0];
  const entries = [...names.map((name) => [name, name]), ["every other: all pairs", "all"]];
  options("against", entries, against, draw);
  draw(against);
};

byId("targets-save").append(saveChart("targets reached", byId("ecdf-chart")));
byId("profile-save").append(saveChart("performance profile", byId("profile-chart")));
for (const figure of document.querySelectorAll("figure.drawn")) figure.querySelector("figcaption").append(saveDrawn(figure));

const drawCompare = compareView(byId("compare-box"), result, parse("earlier"), look);

const update = () => {
  const allProblems = !chosen.dims.size && !chosen.kinds.size && !chosen.common;
  const groups = new Map(result.groups.map((group) => {
    const runs = filtered(group);
    return [group, { runs, figures: once(() => figuresOf(runs, allProblems ? result.intervals[group.name] : {})) }];
  }));
  drawFilters();
  drawGlance(groups);
  drawGroup(groups.get(chosen.group));
  whenNear(byId("compare"), () => drawCompare([...groups.values()].flatMap(({ runs }) => runs)));
};

// --- theme ---

const themes = [...document.querySelectorAll("input[name=theme]")];
const remembered = (act) => { try { return act(); } catch { return null; } }; // a file opened from disk may have no storage
const theme = remembered(() => localStorage.getItem("zoo-opt-theme")) ?? "auto";
for (const input of themes) {
  input.checked = input.value === theme;
  input.addEventListener("change", () => remembered(() => localStorage.setItem("zoo-opt-theme", input.value)));
}

document.body.append(tip);
const wide = matchMedia("(min-width: 1000px)");
byId("side").open = wide.matches;
document.querySelector("nav").addEventListener("click", () => { byId("side").open = wide.matches; });
wide.addEventListener("change", () => { byId("side").open = wide.matches; });
update();
// Milliseconds from opening to the first charts, for the tests and the curious.
whenNear(byId("main"), () => { document.documentElement.dataset.ready = String(Math.round(performance.now())); });
