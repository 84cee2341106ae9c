// A result in memory: { title, started, versions, groups, problems, methods, runs, ... }, made from what a report embeds
// or from the lines of a record (runs.jsonl). A run is { group, problem, method, seed, budget, nfev, ms, hits, figures,
// failed, curve() }, where group, problem and method are the objects themselves.

const FUNCTIONS = ["Sphere", "Ellipsoid, separable", "Rastrigin, separable", "Büche-Rastrigin", "Linear slope", "Attractive sector",
  "Step ellipsoid", "Rosenbrock", "Rosenbrock, rotated", "Ellipsoid", "Discus", "Bent cigar", "Sharp ridge", "Different powers",
  "Rastrigin", "Weierstrass", "Schaffer F7", "Schaffer F7, ill-conditioned", "Griewank-Rosenbrock", "Schwefel",
  "Gallagher, 101 peaks", "Gallagher, 21 peaks", "Katsuura", "Lunacek bi-Rastrigin"];
const NOISY = ["Sphere", "Rosenbrock", "Sphere", "Rosenbrock", "Step ellipsoid", "Ellipsoid", "Different powers", "Schaffer F7",
  "Griewank-Rosenbrock", "Gallagher, 101 peaks"]; // three each, from f101 on
const NOISE = ["Gaussian", "uniform", "Cauchy"];
const CLASSES = [[5, "separable"], [9, "moderate conditioning"], [14, "ill-conditioned"], [19, "multi-modal"],
  [24, "weak structure"], [106, "moderate noise"], [121, "severe noise"], [130, "severe noise, multi-modal"]];

// What a problem's name says. Instances of one function in one dimension are one family: its runs are shown together.
const describe = (problem) => {
  const coco = /^(.*bbob.*)-f(\d+)-i(\d+)-d(\d+)$/.exec(problem.name);
  const other = /^(.*?)-i\d+(-.*)?$/.exec(problem.name);
  if (!coco) {
    const family = other ? other[1] + (other[2] ?? "") : problem.name;
    return { ...problem, family, title: family, kind: "", order: 0 };
  }
  const number = Number(coco[2]);
  const name = number > 100
    ? `${NOISY[Math.floor((number - 101) / 3)]}, ${NOISE[(number - 101) % 3]} noise`
    : FUNCTIONS[number - 1];
  return {
    ...problem,
    family: `${coco[1]}-f${coco[2]}-d${coco[4]}`,
    title: `f${number} ${name}, ${problem.dim}-D`,
    kind: CLASSES.find(([last]) => number <= last)?.[1] ?? "",
    order: number,
  };
};

// Sums of differences; null stays null.
const summed = (differences) => {
  let value = 0;
  return differences.map((d) => (d === null ? null : (value += d)));
};

const unpackCurve = (packed, grid, [kind, origin, step]) => {
  if (!packed.length) return null;
  const values = summed(packed.slice(1)).map((s) => {
    if (s === null) return Infinity;
    return kind === "log" ? 10 ** (origin + step * s) : origin + step * s;
  });
  while (values.length < grid.length - packed[0]) values.push(values.at(-1)); // held
  return { x: grid.slice(packed[0]), y: values };
};

const fromData = (data) => {
  if (data.format !== 1) throw new Error(`the report's data has format ${data.format}; this page reads format 1`);
  const columns = data.runs;
  const intervals = data.intervals ?? {}; // of the areas, by group and method
  for (const a of Object.values(intervals).flatMap(Object.values)) for (const end of Object.keys(a)) a[end] ??= NaN;
  const failed = new Set(data.failed);
  const problems = data.problems.map((p) => describe({ ...p, targets: data.targets[p.targets] }));
  const runs = columns.group.map((group, i) => {
    const problem = problems[columns.problem[i]];
    const figures = {};
    for (const [name, column] of Object.entries(data.figures)) {
      if (column[i] !== null) figures[name] = column[i];
    }
    return {
      group: data.groups[group], problem, method: data.methods[columns.method[i]], seed: columns.seed[i],
      budget: columns.budget[i], nfev: columns.nfev[i], ms: columns.ms[i], figures, failed: failed.has(i),
      hits: summed(columns.hits[i]),
      curve: () => (data.curves ? unpackCurve(data.curves[i], data.grids[columns.budget[i]], data.scales[problem.figure]) : null),
    };
  });
  return { title: data.title, started: data.started, versions: data.versions, names: data.names, intervals, looks: data.looks ?? {},
    groups: data.groups, problems, methods: data.methods, runs };
};

// A record as the bench writes it. Of two entries for one run the later counts; a torn last line is left out.
const fromRecord = (text) => {
  const entries = new Map();
  let session = {};
  const lines = text.split("\n");
  lines.pop();
  lines.forEach((line, number) => {
    let entry;
    try {
      entry = JSON.parse(line);
    } catch {
      throw new Error(`line ${number + 1} is not an entry of a benchmark's record`);
    }
    if (entry?.kind === "session") session = entry;
    else if (entry?.kind === "run") entries.set(entry.key, entry);
    else if (entry?.kind === "again") entry.keys.forEach((key) => entries.delete(key)); // to be repeated
    else throw new Error(`line ${number + 1} is not an entry of a benchmark's record`);
  });
  if (!entries.size) throw new Error("it holds no run of a benchmark");
  const seen = { group: new Map(), problem: new Map(), method: new Map() };
  const once = (kind, name, make) => seen[kind].get(name) ?? seen[kind].set(name, make()).get(name);
  const latest = new Map([...entries.values()].map((entry) =>
    [JSON.stringify([entry.group, entry.problem, entry.method, entry.seed, entry.budget]), entry]));
  const runs = [...latest.values()].map((entry) => ({
    group: once("group", entry.group, () => ({ name: entry.group })),
    problem: once("problem", entry.problem, () =>
      describe({ name: entry.problem, dim: entry.dim, figure: entry.curve_of, targets: entry.targets })),
    method: once("method", entry.method, () => ({ name: entry.method })),
    seed: entry.seed, budget: entry.budget, nfev: entry.nfev, ms: 1000 * entry.seconds, failed: Boolean(entry.error),
    figures: Object.fromEntries(Object.entries(entry.figures).filter(([, value]) => value !== null)
      .map(([name, value]) => [name, Number(value.toPrecision(6))])), // as a report embeds them, so that equal runs stay equal
    hits: entry.hits, curve: () => null,
  }));
  const [groups, problems, methods] = ["group", "problem", "method"].map((kind) => [...seen[kind].values()]);
  return { title: session.title ?? "", started: session.started ?? "", versions: session.versions ?? {}, names: {},
    groups, problems, methods, runs };
};

// A record, or a report: whichever the text is.
const fromText = (text) => {
  if (!/^\s*</.test(text)) return fromRecord(text);
  const embedded = /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(text);
  const data = embedded && JSON.parse(embedded[1]);
  if (!data?.runs) throw new Error("this report embeds no runs that can be compared; choose the runs.jsonl that it was made from");
  return fromData(data);
};
