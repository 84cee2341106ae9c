// The answer in one glance: a card for every group, its methods ranked with their intervals.

const badge = (method) => h(method.ours ? "span.ours" : "span.peer", {}, method.ours ? "zoo-opt" : "peer");
const who = (method, look) => h("span.who", {}, look && swatch(look), h("span", {}, method.name), badge(method));

// The figures of a group's methods, best first; `known` gives intervals by method's name where all problems are shown.
const figuresOf = (runs, known = {}) => {
  const extra = unique(runs.flatMap((run) => Object.keys(run.figures))).filter((name) => name !== runs[0]?.problem.figure);
  const ratio = byRatio(runs);
  const problems = new Set(runs.map((run) => run.problem)).size;
  const rows = [...groupBy(runs, (run) => run.method)].map(([method, own]) => ({ method, runs: own, ...summary(own, extra, ratio, known[method.name]) }));
  return { rows: ranked(rows, problems), extra, problems, ratio, byArea: runs.some((run) => run.problem.targets.length) };
};

const describeGroup = (runs) => {
  const budgets = unique(runs.map((run) => run.budget)).sort((a, b) => a - b);
  const perDim = unique(runs.map((run) => run.budget / run.problem.dim));
  const dims = unique(runs.map((run) => run.problem.dim)).sort((a, b) => a - b);
  const budget = perDim.length === 1 && budgets.length > 1 ? `${whole(perDim[0])} d` : budgets.map(whole).join(" / ");
  const seeds = unique(runs.map((run) => run.seed)).sort((a, b) => a - b);
  return [plural(new Set(runs.map((run) => run.problem)).size, "problem"), dims.length < 8 ? `${dims.map(whole).join(", ")}-D` : null,
    `${seeds.length > 6 ? plural(seeds.length, "seed") : `seed${seeds.length > 1 ? "s" : ""} ${seeds.join(", ")}`}`,
    `${budget} evaluations each`].filter(Boolean).join(" · ");
};

// The best method, and those beside it: near it, and not told apart from it by the paired test.
const NEAR = 0.1; // of the leader's figure, on the problems that both ran
const isNear = ({ measure, own, other }) => (measure === "area" ? other >= (1 - NEAR) * own
  : measure === "final" ? other <= own + NEAR * Math.abs(own)
    : other <= own + Math.log10(1 + NEAR)); // log10 of a figure that is compared by ratio
const verdict = ({ rows, byArea }) => {
  const [best, ...rest] = rows;
  if (!best) return "";
  const figure = byArea ? `area ${unit(best.area.estimate)}` : say(best.final);
  if (!rest.length) return [h("b", {}, best.method.name), `: ${figure}.`];
  const found = rest.map((row) => ({ row, pairs: matched(row.runs, best.runs) })).filter(({ pairs }) => pairs.length)
    .map(({ row, pairs }) => ({ name: row.method.name, ...contest(pairs) }));
  const corrected = holm(found.map(({ p }) => p));
  const level = found.filter((_, i) => !(corrected[i] < 0.05));
  const beside = level.filter(isNear).map(({ name }) => name);
  const further = level.length - beside.length;
  const few = beside.slice(0, 3).join("; ") + (beside.length > 3 ? ` and ${beside.length - 3} more` : "");
  const behind = further ? ` ${beside.length ? "" : "No other is near it. "}The test is not sure about ${plural(further, "method")} further behind.` : "";
  return [h("b", {}, best.method.name), ` leads (${figure}).`,
    beside.length ? ` Near it, and not told apart by the paired rank test: ${few}.` : "", behind,
    level.length ? "" : " Ahead of every other by the paired rank test (p < .05, corrected)."];
};

const track = (row, [low, high], look) => {
  const place = (value) => `${(100 * Math.min(1, Math.max(0, (value - low) / (high - low)))).toFixed(2)}%`;
  const { estimate, low: from, high: to } = row.area;
  const known = Number.isFinite(from);
  return h("span.track", { "aria-hidden": "true", style: `--look:${look.color}` },
    known && h("span.whisker", { style: `left:${place(from)};right:calc(100% - ${place(to)})` }),
    h("span.dot", { style: `left:${place(estimate)}` }));
};

const scaleOf = (rows) => {
  const ends = rows.flatMap(({ area: a }) => [a.estimate, a.low, a.high]).filter(Number.isFinite);
  return [Math.floor(20 * Math.min(...ends, 1)) / 20, Math.ceil(20 * Math.max(...ends, 0.05)) / 20];
};
const between = (area) => (Number.isNaN(area.low) ? "" : `${unit(area.low, 2)}–${unit(area.high, 2)}`);
// The bars of a card as a file.
const saveRanks = (name, { rows }, look) => saveButtons(`ranks of ${name}`, () => ({ title: `${name}: area under the ECDF, 95 % intervals`,
  drawing: rowsDrawing(rows.map(({ method, area }) => ({ name: method.name, value: `${unit(area.estimate)}  ${between(area)}`, color: look(method).color,
    at: area.estimate, low: area.low, high: area.high })), scaleOf(rows), (value) => unit(value, 2)) }));

const rankTable = (figures, look) => {
  const { rows, byArea, problems } = figures;
  const scale = scaleOf(rows);
  const line = (row, i) => {
    const part = row.problems < problems;
    return h("tr", { "data-method": row.method.name, class: row.method.ours ? "own" : null },
      h("td.n", {}, part ? "–" : i + 1),
      h("th", { scope: "row" }, h("span.key", {}, swatch(look(row.method)), h("span", {}, row.method.name,
        part && h("span.part", { title: "ran fewer problems than others: not ranked" }, ` ${row.problems} of ${problems}`)))),
      byArea && h("td.bar", {}, track(row, scale, look(row.method))),
      h("td.n", {}, byArea ? unit(row.area.estimate) : say(row.final)),
      byArea && h("td.n.soft", {}, between(row.area)));
  };
  const measure = byArea ? "area" : "final";
  return h("table.rank", {},
    h("thead", {}, h("tr", {}, h("th.n", { scope: "col" }, "#"), h("th", { scope: "col" }, "method"),
      byArea && h("th.bar", { scope: "col" }, h("span.scale", {}, h("span", {}, unit(scale[0], 2)), h("span", {}, unit(scale[1], 2)))),
      h("th.n", { scope: "col" }, measure), byArea && h("th.n", { scope: "col" }, "95 %"))),
    h("tbody", {}, rows.map(line)));
};

// Two calls: the card stays, what it says follows the filters.
const emptyCard = (group, choose) => {
  const button = h("button", { type: "button", title: "Show this group below", onclick: choose }, group.name);
  return h("article.card", { "data-group": group.name }, h("h3", {}, button), h("div.body"));
};
const fillCard = (element, runs, figures, look) => element.lastElementChild.replaceChildren(...(runs.length
  ? [h("p.soft", {}, describeGroup(runs)), h("p", {}, verdict(figures())), rankTable(figures(), look),
    ...(figures().byArea ? [saveRanks(element.dataset.group, figures(), look)] : [])]
  : [h("p.soft", {}, "No run of this group passes the filters.")]));
