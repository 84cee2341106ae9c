// An earlier result beside this one: embedded when the report was written, or loaded from a file in the browser.

// Runs of both results with the same group, problem, method, seed and budget, as [earlier, now] pairs by group and method.
const pairUp = (earlier, runs) => {
  const key = (run) => JSON.stringify([run.group.name, run.problem.name, run.method.name, run.seed, run.budget]);
  const before = new Map(earlier.runs.map((run) => [key(run), run]));
  const pairs = runs.filter((run) => before.has(key(run))).map((run) => [before.get(key(run)), run]);
  return [...groupBy(pairs, ([, run]) => `${run.group.name}|${run.method.name}`).values()];
};

const same = ([a, b]) => a.nfev === b.nfev && b.problem.targets.every((_, i) => (a.hits[i] ?? null) === (b.hits[i] ?? null));

const differenceRows = (earlier, runs) => {
  const rows = pairUp(earlier, runs).map((pairs) => {
    const [, { group, method }] = pairs[0];
    const final = [0, 1].map((side) => {
      const own = pairs.map((pair) => pair[side]);
      return (byRatio(pairs.flat()) ? geometricMean : mean)(medianByProblem(own, finalFigure));
    });
    return { group, method, pairs, runs: pairs.length, same: pairs.filter(same).length, final, ...contest(pairs) };
  });
  for (const own of groupBy(rows, (row) => row.group).values()) {
    holm(own.map((row) => row.p)).forEach((p, i) => { own[i].corrected = p; });
  }
  return rows;
};
const gainText = (row) => h("span", { class: row.corrected < 0.05 ? (row.gain.estimate > 0 ? "better" : "worse") : null },
  signed(row.gain.estimate));
const gainTrack = (row, most, look) => {
  const place = (value) => `${(50 + 50 * Math.max(-1, Math.min(1, value / most))).toFixed(2)}%`;
  return h("span.track.middle", { "aria-hidden": "true", style: `--look:${look(row.method).color}` },
    Number.isFinite(row.gain.low) && h("span.whisker", { style: `left:${place(row.gain.low)};right:calc(100% - ${place(row.gain.high)})` }),
    h("span.dot", { style: `left:${place(row.gain.estimate)}` }));
};
const differenceColumns = (rows, look) => {
  const most = Math.max(1e-3, ...rows.flatMap(({ gain: g }) => [g.estimate, g.low, g.high]).filter(Number.isFinite).map(Math.abs));
  return [
    { title: "group", text: true, key: (row) => row.group.name },
    columnOf(look),
    { title: "gain", best: "high", hint: "positive: now better; of the area under the ECDF, else of log10 of the final figure",
      key: (row) => row.gain.estimate, show: gainText },
    { title: `−${say(most, 2)} … +${say(most, 2)}`, best: "high", hint: "the gain and its 95 % interval",
      key: (row) => row.gain.estimate, show: (row) => gainTrack(row, most, look) },
    { title: "95 % interval", best: "high", key: (row) => row.gain.low, show: (row) => range(row.gain, signed) },
    { title: "earlier", key: (row) => row.other, show: (row) => unit(row.other) },
    { title: "now", key: (row) => row.own, show: (row) => unit(row.own) },
    { title: "better", best: "high", hint: "problems, or seeds where there is one problem", key: (row) => row.wins },
    { title: "worse", best: "high", key: (row) => row.losses },
    { title: "p, corrected", hint: "Wilcoxon's signed-rank test, after Holm for the methods of the group", key: (row) => row.corrected,
      show: (row) => probability(row.corrected) },
    { title: "final, earlier", key: (row) => row.final[0], show: (row) => say(row.final[0]) },
    { title: "final, now", key: (row) => row.final[1], show: (row) => say(row.final[1]) },
    { title: "runs", hint: "that both results hold", key: (row) => row.runs },
    { title: "unchanged", best: "high", hint: "runs with the same hits and evaluations", key: (row) => row.same },
  ];
};

const changeRows = (earlier, runs) => pairUp(earlier, runs).flatMap((pairs) =>
  [...groupBy(pairs, ([, run]) => run.problem.family).values()].map((own) => {
    const [, { group, method, problem }] = own[0];
    const targets = sum(own.map(([, run]) => run.problem.targets.length));
    const [before, now] = [0, 1].map((side) => ({
      area: targets ? sum(own.map((pair) => area(pair[side]))) / targets : NaN,
      final: median(own.map((pair) => finalFigure(pair[side]))),
    }));
    return { group, method, problem, before, now, gain: targets ? now.area - before.area : Math.log10(before.final / now.final) };
  }));
const changeColumns = (look) => [
  problemColumn,
  { title: "group", text: true, key: (row) => row.group.name },
  columnOf(look),
  { title: "gain", best: "high", key: (row) => row.gain, show: (row) => signed(row.gain) },
  { title: "area, earlier", best: "high", key: (row) => row.before.area, show: (row) => unit(row.before.area) },
  { title: "area, now", best: "high", key: (row) => row.now.area, show: (row) => unit(row.now.area) },
  { title: "final, earlier", key: (row) => row.before.final, show: (row) => say(row.before.final) },
  { title: "final, now", key: (row) => row.now.final, show: (row) => say(row.now.final) },
];

const versionChanges = (earlier, now) => {
  const names = unique([...Object.keys(earlier.versions), ...Object.keys(now.versions)]);
  const changed = names.filter((name) => earlier.versions[name] !== now.versions[name]);
  if (!changed.length) return "All versions are the same.";
  return `Versions that differ: ${changed.map((name) => `${name} ${earlier.versions[name] ?? "none"} → ${now.versions[name] ?? "none"}`).join(", ")}.`;
};

const readFile = async (file) => {
  const packed = file.name.endsWith(".gz") ? file.stream().pipeThrough(new DecompressionStream("gzip")) : file;
  return fromText(await new Response(packed).text());
};

// The section: returns update(runs), to be called when filters change.
const compareView = (box, result, embedded, look) => {
  let [earlier, origin, problem, latest] = [embedded, embedded ? "embedded in this report" : "", "", []];
  const methods = sortable({ label: "Methods, earlier and now", file: "comparison-methods", order: { title: "gain", up: false } });
  const changes = sortable({ label: "Problems, earlier and now: the largest losses first", file: "comparison-problems",
    search: "Find a problem or method", order: { title: "gain", up: true } });
  const said = h("div", { role: "status" });
  const load = async (file) => {
    if (!file) return;
    [problem, origin] = ["", file.name];
    try {
      earlier = await readFile(file);
    } catch (error) {
      [earlier, problem] = [null, `${file.name} cannot be compared: ${error.message}.`];
    }
    update(latest);
  };
  const input = h("input", { type: "file", id: "earlier-file", accept: ".jsonl,.html,.gz", onchange: () => load(input.files[0]) });
  const zone = h("label.drop", { for: "earlier-file" }, h("span", {}, "Choose an earlier result, or drop it here: its runs.jsonl, ",
    "or a report made from it. It is read in this browser and sent nowhere."), input);
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    load(event.dataTransfer.files[0]);
  });
  box.append(zone, said, methods.element, changes.element);
  const update = (runs) => {
    latest = runs;
    const rows = earlier ? differenceRows(earlier, runs) : [];
    for (const table of [methods, changes]) table.element.hidden = !rows.length;
    said.replaceChildren();
    if (problem) said.append(h("p.problem", {}, problem));
    if (!earlier) return;
    const total = plural(sum(rows.map((row) => row.runs)), "run");
    const unchanged = sum(rows.map((row) => row.same));
    said.append(h("p", {}, h("b", {}, earlier.title || "Earlier result"), ` (${[origin, earlier.started.slice(0, 10)].filter(Boolean).join(", ")}): `,
      rows.length
        ? `${total} shown here are in both, with the same group, problem, method, seed and budget; ${whole(unchanged)} of them unchanged. `
          + versionChanges(earlier, result)
        : "it has no run in common with those shown here: group, problem, method, seed and budget must be the same."));
    if (!rows.length) return;
    methods.update(rows, differenceColumns(rows, look));
    changes.update(changeRows(earlier, runs), changeColumns(look));
  };
  return update;
};
