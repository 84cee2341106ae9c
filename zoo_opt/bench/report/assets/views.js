// What is shown of one group: curves of targets reached, of every problem, and tables. Each view takes the filtered runs.

const logGrid = (low, high, points) => Array.from({ length: points }, (_, i) => low * (high / low) ** (i / (points - 1)));
const columnOf = (look) => ({ title: "method", text: true, key: (row) => row.method.name, show: (row) => who(row.method, look(row.method)) });

const fractionAxis = (title, top) => ({ min: 0, max: Math.min(1, Math.max(0.1, Math.ceil(10 * top) / 10)), title, format: share, tick: percent });

// --- targets reached over the budget ---

const ecdfChart = (box, rows, look, bands) => {
  const runs = rows.flatMap((row) => row.runs);
  const end = Math.max(...runs.map((run) => run.budget / run.problem.dim));
  const start = end / 1000; // three decades: next to nothing is reached before
  const grid = logGrid(start, end, 240);
  const coarse = logGrid(start, end, 48);
  const series = rows.map(({ method, runs: own }) => ({ name: method.name, look: look(method), x: grid, y: ecdf(own, grid) }));
  const bounds = bands ? rows.map(({ method, runs: own }) => ({ look: look(method), name: method.name, x: coarse, ...ecdfBand(own, coarse) })) : [];
  const top = Math.max(...series.map(({ y }) => y.at(-1)), ...bounds.flatMap(({ high }) => high.filter(Number.isFinite)));
  lineChart(box, {
    title: `${runs[0].group.name}: targets reached over the budget`,
    label: "Fraction of the targets reached over evaluations per dimension, a line for each method",
    x: { log: true, min: start, max: end, title: "evaluations / d", name: "Evaluations / d" },
    y: fractionAxis("fraction of targets", top),
    series, bands: bounds, step: true, named: true, best: "high",
  });
};

// --- convergence of each problem: instances of a function in a dimension are shown together ---

const familyBand = (runs) => {
  const curves = runs.filter((run) => !run.failed).map((run) => run.curve()).filter(Boolean);
  if (!curves.length) return null;
  const start = Math.max(...curves.map(({ x }) => x[0]));
  const x = curves.find((curve) => curve.x[0] === start).x;
  const at = x.map((value) => ascending(curves.map((curve) => valueAt(curve, value))));
  const [low, y, high] = [0.25, 0.5, 0.75].map((q) => at.map((values) => quantile(values, q)));
  return curves.length > 1 ? { x, y, low, high } : { x, y };
};
const familySpec = (title, runs, look, names) => {
  const series = [...groupBy(runs, (run) => run.method)].map(([method, own]) => ({ name: method.name, look: look(method), ...familyBand(own) }))
    .filter((s) => s.x);
  const { figure } = runs[0].problem;
  const values = series.flatMap((s) => [...s.y, ...(s.low ?? [])]).filter(Number.isFinite);
  const log = figure === "precision" || values.every((v) => v > 0);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = { log: true, min: Math.min(...series.map((s) => s.x[0])), max: Math.max(...runs.map((run) => run.budget)), title: "evaluations",
    name: "Evaluations", format: (v) => whole(v) };
  const y = { log, min: log && low === high ? low / 10 : low, max: log && low === high ? high * 10 : high, title: names[figure] ?? figure };
  return { title: `${title}: ${names[figure] ?? figure}`, label: `${title}: ${names[figure] ?? figure} over evaluations`, x, y, series, best: "low" };
};
const familyBox = (title, runs, look, names) => {
  const chart = h("div.chart.small");
  const enlarge = () => {
    const big = h("div.chart.big");
    const dialog = h("dialog", { "aria-label": title, onclose: () => { dialog.remove(); document.body.append(tip); } },
      h("form", { method: "dialog" }, h("h3", {}, title), saveChart(`${title}, enlarged,`, big), h("button", {}, "Close")), big);
    document.body.append(dialog);
    dialog.showModal();
    dialog.append(tip); // what is outside of a modal dialog lies under it
    lineChart(big, { ...familySpec(title, runs, look, names), named: true });
  };
  const figure = h("figure", {}, h("figcaption", {}, h("span", {}, title), h("span.save", {},
    h("button.quiet", { type: "button", "aria-label": `Enlarge ${title}`, title: "Enlarge", onclick: enlarge }, "⤢"))), chart);
  whenNear(figure, () => {
    const spec = familySpec(title, runs, look, names);
    if (!Number.isFinite(spec.y.min)) return chart.append(h("p.soft", {}, "No finite value."));
    lineChart(chart, spec);
    return figure.querySelector(".save").prepend(saveChart(title, chart));
  });
  return figure;
};

const FEW = 12; // problems that are shown without asking

const curves = (box, runs, look, names) => {
  const families = [...groupBy(runs, (run) => run.problem.family).values()]
    .sort((a, b) => a[0].problem.order - b[0].problem.order || a[0].problem.dim - b[0].problem.dim);
  const grid = (some) => h("div.grid", {}, some.map((own) => familyBox(own[0].problem.title, own, look, names)));
  if (families.length <= FEW) return box.replaceChildren(grid(families));
  const open = new Set([...box.querySelectorAll("details[open]")].map((details) => details.dataset.kind));
  const kinds = [...groupBy(families, ([run]) => run.problem.kind || "other")];
  return box.replaceChildren(...kinds.map(([kind, some]) => {
    const details = h("details", { "data-kind": kind, ontoggle: () => {
      if (details.open && details.childElementCount === 1) details.append(grid(some));
    } }, h("summary", {}, kind, h("span.soft", {}, ` ${plural(some.length, "chart")}`)));
    details.open = open.has(kind);
    return details;
  }));
};

// --- tables ---

const summaryColumns = ({ rows, extra, byArea, problems }, look, names, figure) => [
  columnOf(look),
  ...(rows.every((row) => row.problems === problems) ? [] : [{ title: "problems", key: (row) => row.problems,
    show: (row) => (row.problems < problems ? `${row.problems} of ${problems}` : whole(row.problems)) }]),
  ...(byArea ? [
    { title: "targets reached", best: "high", key: (row) => row.reached, show: (row) => share(row.reached) },
    { title: "area under ECDF", best: "high", key: (row) => row.area.estimate, show: (row) => unit(row.area.estimate) },
    { title: "95 % interval", best: "high", hint: "of the area, bootstrap over problems", key: (row) => row.area.low, show: (row) => range(row.area) },
  ] : []),
  { title: `final ${names[figure] ?? figure}`, key: (row) => row.final, show: (row) => say(row.final) },
  ...extra.map((name, i) => ({ title: names[name] ?? name, best: "high", key: (row) => row.extra[i], show: (row) => say(row.extra[i]) })),
  { title: "CPU µs / evaluation", hint: "the objective's included", key: (row) => row.pace, show: (row) => say(row.pace) },
  ...(rows.some((row) => row.failed) ? [{ title: "failed runs", key: (row) => row.failed, show: (row) => whole(row.failed) }] : []),
];

// The area of every method in each part of the group, as zoo_opt.bench.subgroups has them.
const partsOf = (runs) => {
  const dims = unique(runs.map((run) => run.problem.dim)).sort((a, b) => a - b);
  const kinds = unique(unique(runs.map((run) => run.problem)).sort((a, b) => a.order - b.order).map(({ kind }) => kind).filter(Boolean));
  return [
    { title: "all", has: () => true },
    ...(dims.length > 1 ? dims.map((dim) => ({ title: `${whole(dim)}-D`, has: ({ problem }) => problem.dim === dim })) : []),
    ...(kinds.length > 1 ? kinds.map((kind) => ({ title: kind, has: ({ problem }) => problem.kind === kind })) : []),
  ];
};
const partRows = (rows, parts) => {
  const made = rows.map(({ method, runs }) => {
    const pairs = runs.map((run) => [run, area(run), run.problem.targets.length]);
    const areas = parts.map(({ has }) => {
      const own = pairs.filter(([run]) => has(run));
      return sum(own.map(([, a]) => a)) / sum(own.map(([, , n]) => n));
    });
    return { method, areas };
  });
  const best = parts.map((_, i) => Math.max(...made.map(({ areas }) => areas[i]).filter(Number.isFinite)));
  return made.map((row) => ({ ...row, best }));
};
const partColumns = (parts, look) => [
  columnOf(look),
  ...parts.map(({ title }, i) => ({ title, best: "high", key: (row) => row.areas[i], show: (row) => h("span.heat", {
    class: row.areas[i] === row.best[i] ? "heat best" : "heat", style: `--share:${Math.round((100 * row.areas[i]) / row.best[i]) || 0}%` }, unit(row.areas[i])) })),
];

const finalRows = (runs) => [...groupBy(runs, (run) => `${run.problem.family}|${run.method.name}`).values()].map((own) => {
  const finals = ascending(own.map(finalFigure));
  const targets = sum(own.map((run) => run.problem.targets.length));
  const good = own.filter((run) => !run.failed);
  return { problem: own[0].problem, method: own[0].method, runs: own.length, median: quantile(finals, 0.5), low: quantile(finals, 0.25),
    high: quantile(finals, 0.75), reached: targets ? sum(own.map(reached)) / targets : NaN, nfev: median(good.map((run) => run.nfev)),
    seconds: median(good.map((run) => run.ms / 1000)) };
});
const problemColumn = { title: "problem", text: true, key: (row) => row.problem.family, show: (row) => row.problem.title,
  find: ({ problem }) => `${problem.family} ${problem.title} ${problem.kind}` };
const finalColumns = (look) => [
  problemColumn,
  columnOf(look),
  { title: "median", key: (row) => row.median, show: (row) => say(row.median) },
  { title: "lower quartile", key: (row) => row.low, show: (row) => say(row.low) },
  { title: "upper quartile", key: (row) => row.high, show: (row) => say(row.high) },
  { title: "runs", key: (row) => row.runs },
  { title: "targets", best: "high", key: (row) => row.reached, show: (row) => share(row.reached) },
  { title: "evaluations", key: (row) => row.nfev, show: (row) => whole(row.nfev) },
  { title: "CPU s", key: (row) => row.seconds, show: (row) => say(row.seconds) },
];

const near = (a, b) => Math.abs(a - b) <= 1e-5 * Math.abs(b);
const ertRows = (runs, target) => [...groupBy(runs, (run) => run.problem.family).values()]
  .map((own) => ({ problem: own[0].problem, index: own[0].problem.targets.findIndex((t) => near(t, target)), own }))
  .filter(({ index }) => index >= 0)
  .map(({ problem, index, own }) => {
    const by = new Map([...groupBy(own, (run) => run.method)].map(([method, some]) => [method, expectedTime(some, index)]));
    return { problem, by, best: Math.min(...[...by.values()].map(({ ert }) => ert)) };
  });
const ertColumns = (methods) => [
  problemColumn,
  ...methods.map((method) => ({ title: method.name, key: (row) => (row.by.get(method)?.ert ?? NaN) / row.problem.dim, show: (row) => {
    const found = row.by.get(method);
    if (!found) return "–";
    const text = say(found.ert / row.problem.dim);
    return h(found.ert === row.best && found.successes ? "b" : "span", { title: `${found.successes} of ${plural(found.runs, "run")} reached it` },
      text, found.successes && found.successes < found.runs ? h("small", {}, ` ${found.successes}/${found.runs}`) : null);
  } })),
];

const testRows = (rows, against) => {
  const pairs = against
    ? rows.filter((row) => row.method.name !== against).map((row) => [row, rows.find(({ method }) => method.name === against)])
    : rows.flatMap((row, i) => rows.slice(i + 1).map((other) => [row, other]));
  const found = pairs.filter(([, other]) => other)
    .map(([row, other]) => ({ method: row.method, against: other.method, pairs: matched(other.runs, row.runs) }))
    .filter((row) => row.pairs.length).map((row) => ({ ...row, ...contest(row.pairs) }));
  const corrected = holm(found.map(({ p }) => p));
  return found.map((row, i) => ({ ...row, corrected: corrected[i] }));
};
const testColumns = (look, measure) => [
  columnOf(look),
  { title: "against", text: true, key: (row) => row.against.name },
  { title: "advantage", best: "high", hint: `mean difference of ${measure}; positive: the method is better`, key: (row) => row.gain.estimate,
    show: (row) => h("span", { class: row.corrected < 0.05 ? (row.gain.estimate > 0 ? "better" : "worse") : null }, signed(row.gain.estimate)) },
  { title: "95 % interval", best: "high", key: (row) => row.gain.low, show: (row) => range(row.gain, signed) },
  { title: "wins", best: "high", key: (row) => row.wins },
  { title: "losses", key: (row) => row.losses },
  { title: "ties", key: (row) => row.gains.length - row.wins - row.losses },
  { title: "p", key: (row) => row.p, show: (row) => probability(row.p) },
  { title: "p, corrected", hint: "after Holm, for the tests of this table", key: (row) => row.corrected, show: (row) => probability(row.corrected) },
];

// --- performance profile: how often a method is within so many times the best expected running time ---

const profile = (rows, factors) => {
  const cases = rows.map(({ runs }) => groupBy(runs, (run) => run.problem.family));
  const all = new Set(cases.flatMap((found) => [...found.keys()]));
  const complete = rows.map((_, i) => i).filter((i) => cases[i].size === all.size);
  const ratios = complete.map(() => []);
  let pairs = 0;
  for (const family of all) {
    const own = complete.map((i) => cases[i].get(family));
    const count = own[0]?.[0].problem.targets.length ?? 0;
    for (let target = 0; target < count; target += 1) {
      const times = own.map((runs) => expectedTime(runs, target).ert);
      const least = Math.min(...times);
      pairs += 1;
      if (Number.isFinite(least)) times.forEach((time, i) => ratios[i].push(time / least));
    }
  }
  return { series: complete.map((i, k) => ({ method: rows[i].method, y: countUpTo(ratios[k], factors).map((n) => n / (pairs || 1)) })),
    left: rows.filter((_, i) => !complete.includes(i)).map(({ method }) => method.name) };
};
const profileChart = (box, rows, look) => {
  const factors = logGrid(1, 1000, 160);
  const { series, left } = profile(rows, factors);
  lineChart(box, {
    title: `${rows[0].runs[0].group.name}: performance profile`,
    label: "Performance profile: fraction of targets reached within a factor of the best expected running time",
    x: { log: true, min: 1, max: 1000, title: "times the least expected running time", name: "Within times the least" },
    y: fractionAxis("fraction of (problem, target)", Math.max(...series.map(({ y }) => y.at(-1)))),
    series: series.map(({ method, y }) => ({ name: method.name, look: look(method), x: factors, y })), named: true, best: "high",
  });
  return left;
};
