// Statistics of runs, for what filters leave: the same definitions as zoo_opt.bench computes, which the tests hold them to.

const groupBy = (items, key) => {
  const found = new Map();
  for (const item of items) {
    const name = key(item);
    if (found.has(name)) found.get(name).push(item);
    else found.set(name, [item]);
  }
  return found;
};
const unique = (items) => [...new Set(items)];
const sum = (values) => values.reduce((a, b) => a + b, 0);
const mean = (values) => (values.length ? sum(values) / values.length : NaN);
const ascending = (values) => [...values].sort((a, b) => a - b);

// Quantile of sorted values by linear interpolation; infinities allowed.
const quantile = (sorted, q) => {
  if (!sorted.length) return NaN;
  const at = q * (sorted.length - 1);
  const below = Math.floor(at);
  const [low, high] = [sorted[below], sorted[Math.min(below + 1, sorted.length - 1)]];
  return low === high || at === below ? low : low * (1 - (at - below)) + high * (at - below);
};
const median = (values) => quantile(ascending(values), 0.5);
const geometricMean = (values, floor = 1e-8) => Math.exp(mean(values.map((v) => Math.log(Math.max(v, floor)))));

// --- targets reached ---

const area = (run) => {
  const scale = Math.log(run.budget);
  let total = 0;
  for (const hit of run.hits) if (hit !== null && hit < run.budget) total += 1 - Math.log(hit) / scale;
  return total;
};
const reached = (run) => run.hits.reduce((n, hit) => n + (hit !== null), 0);

// How many of the values are no greater than each point of an increasing grid.
const countUpTo = (values, grid) => {
  const sorted = Float64Array.from(values).sort();
  let count = 0;
  return grid.map((x) => {
    while (count < sorted.length && sorted[count] <= x * (1 + 1e-12)) count += 1;
    return count;
  });
};

// Fraction of the (problem, target, seed) triples reached within each of the evaluations / d of `grid`.
const ecdf = (runs, grid) => {
  const hits = [];
  for (const run of runs) for (const hit of run.hits) if (hit !== null) hits.push(hit / run.problem.dim);
  const total = sum(runs.map((run) => run.problem.targets.length));
  return countUpTo(hits, grid).map((count) => count / total);
};

// --- bootstrap: problems are resampled, or seeds where there is one problem only ---

const RESAMPLES = 2000;
const generator = (seed) => () => { // Mulberry32
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
const drawn = new Map(); // by number of units, so that equal sets of problems are resampled alike
const draws = (units) => {
  if (!drawn.has(units)) {
    const random = generator(1);
    drawn.set(units, Uint16Array.from({ length: RESAMPLES * units }, () => Math.floor(random() * units)));
  }
  return drawn.get(units);
};

const unitsOf = (runs) => {
  const problems = groupBy(runs, (run) => run.problem);
  return [...(problems.size > 1 ? problems : groupBy(runs, (run) => run.seed)).values()];
};

// Percentile bootstrap interval of sum(parts) / sum(weights), a part and a weight for every unit.
const interval = (parts, weights = parts.map(() => 1)) => {
  const n = parts.length;
  const estimate = sum(parts) / sum(weights);
  if (n < 2) return { estimate, low: NaN, high: NaN };
  const index = draws(n);
  const means = new Float64Array(RESAMPLES);
  for (let b = 0, at = 0; b < RESAMPLES; b += 1) {
    let [p, w] = [0, 0];
    for (const end = at + n; at < end; at += 1) {
      p += parts[index[at]];
      w += weights[index[at]];
    }
    means[b] = p / w;
  }
  means.sort();
  return { estimate, low: quantile(means, 0.025), high: quantile(means, 0.975) };
};
// Pointwise bounds of the ECDF at the evaluations / d of a grid, with fewer resamples: they are only drawn.
const ecdfBand = (runs, grid) => {
  const units = unitsOf(runs);
  const n = units.length;
  if (n < 2) return { low: grid.map(() => NaN), high: grid.map(() => NaN) };
  const weights = units.map((unit) => sum(unit.map((run) => run.problem.targets.length)));
  const parts = units.map((unit, i) => ecdf(unit, grid).map((fraction) => fraction * weights[i]));
  const index = draws(n);
  const resampled = Array.from({ length: 300 }, (_, b) => {
    const means = new Float64Array(grid.length);
    let weight = 0;
    for (let j = b * n; j < (b + 1) * n; j += 1) {
      weight += weights[index[j]];
      const part = parts[index[j]];
      for (let k = 0; k < means.length; k += 1) means[k] += part[k];
    }
    return means.map((v) => v / weight);
  });
  const [low, high] = [0.025, 0.975].map((q) => grid.map((_, k) => quantile(ascending(resampled.map((means) => means[k])), q)));
  return { low, high };
};
const intervalOf = (runs, value) => {
  const units = unitsOf(runs);
  return interval(units.map((unit) => sum(unit.map(value))), units.map((unit) => sum(unit.map((r) => r.problem.targets.length))));
};

// --- figures of a method ---

// Lower is better; a run that failed counts as Infinity.
const finalFigure = (run) => (run.failed ? Infinity : run.figures[run.problem.figure] ?? Infinity);

// Whether final figures are compared by ratio: precisions, and others if none of them is negative.
const byRatio = (runs) => runs.every((run) => run.problem.figure === "precision" || finalFigure(run) >= 0);

const medianByProblem = (runs, figure) => [...groupBy(runs, (run) => run.problem).values()].map((cell) => median(cell.map(figure)));

// One method's figures; `figures` names those beside the final one, `ratio` says how final figures are averaged, `known`
// gives the interval of the area where it was computed before.
const summary = (runs, figures, ratio, known) => ({
  problems: new Set(runs.map((run) => run.problem)).size,
  reached: sum(runs.map(reached)) / sum(runs.map((run) => run.problem.targets.length)),
  area: known ?? intervalOf(runs, area),
  final: (ratio ? geometricMean : mean)(medianByProblem(runs, finalFigure)),
  extra: figures.map((name) => mean(medianByProblem(runs.filter((run) => name in run.figures), (run) => run.figures[name]))),
  pace: median(runs.filter((run) => run.nfev).map((run) => (1000 * run.ms) / run.nfev)),
  failed: runs.filter((run) => run.failed).length,
});

// Best first; methods that ran fewer problems come last.
const ranked = (rows, problems) => {
  const score = (row) => [row.problems < problems ? 1 : 0, -(row.area.estimate || 0), -(row.reached || 0), row.final];
  return [...rows].sort((a, b) => {
    const [x, y] = [score(a), score(b)];
    const i = x.findIndex((value, at) => value !== y[at]);
    return i < 0 ? 0 : x[i] - y[i] || 0;
  });
};

// --- expected running time ---

// Evaluations of all runs until they reached the target of this index or ended, over the runs that reached it.
const expectedTime = (runs, target) => {
  let [spent, successes] = [0, 0];
  for (const run of runs) {
    const hit = run.hits[target] ?? null;
    successes += hit !== null;
    spent += hit ?? (run.failed ? run.budget : run.nfev);
  }
  return { ert: successes ? spent / successes : Infinity, successes, runs: runs.length };
};

// --- two sets of runs against each other, on the problems, seeds and budgets that both have ---

const matched = (a, b) => {
  const cell = (run) => `${run.problem.name}|${run.seed}|${run.budget}`;
  const partners = new Map(b.map((run) => [cell(run), run]));
  return a.filter((run) => partners.has(cell(run))).map((run) => [run, partners.get(cell(run))]);
};

// Gains of B over A by unit, with their mean, its paired bootstrap interval and Wilcoxon's signed-rank test.
const contest = (pairs) => {
  const problems = groupBy(pairs, ([run]) => run.problem.name);
  const units = [...(problems.size > 1 ? problems : groupBy(pairs, ([run]) => run.seed))];
  const targets = ([run]) => run.problem.targets.length;
  const byArea = pairs.length > 0 && units.every(([, unit]) => sum(unit.map(targets)) > 0);
  const ratio = byRatio(pairs.flat());
  const value = (run) => {
    if (byArea) return area(run);
    const figure = Math.min(finalFigure(run), 1e300);
    return ratio ? Math.log10(Math.max(figure, 1e-8)) : figure;
  };
  const weights = units.map(([, unit]) => (byArea ? sum(unit.map(targets)) : unit.length));
  const [a, b] = [0, 1].map((side) => units.map(([, unit], i) => sum(unit.map((pair) => value(pair[side]))) / weights[i]));
  const gains = a.map((x, i) => (byArea ? b[i] - x : x - b[i])).map((gain) => (Math.abs(gain) < 1e-12 ? 0 : gain));
  return {
    units: problems.size > 1 ? "problems" : "seeds",
    measure: byArea ? "area" : ratio ? "log10 final" : "final",
    names: units.map(([name]) => name), a, b, gains, weights,
    get gain() { return interval(gains.map((gain, i) => gain * weights[i]), weights); },
    own: sum(b.map((v, i) => v * weights[i])) / sum(weights),
    other: sum(a.map((v, i) => v * weights[i])) / sum(weights),
    wins: gains.filter((gain) => gain > 0).length,
    losses: gains.filter((gain) => gain < 0).length,
    p: wilcoxon(gains),
  };
};

// Two-sided p value of the signed-rank test: exact up to 50 differences without ties or 13 with, else by the normal law.
const wilcoxon = (gains) => {
  if (!gains.length) return NaN;
  const d = gains.filter((gain) => gain !== 0).sort((x, y) => Math.abs(x) - Math.abs(y));
  const n = d.length;
  if (!n) return 1;
  const twice = []; // of each rank, ties sharing the mean of theirs
  let ties = 0;
  for (let i = 0, j; i < n; i = j) {
    for (j = i + 1; j < n && Math.abs(d[j]) === Math.abs(d[i]); ) j += 1;
    for (let k = i; k < j; k += 1) twice.push(i + 1 + j);
    ties += (j - i) ** 3 - (j - i);
  }
  const plus = sum(twice.filter((_, i) => d[i] > 0));
  if (n <= (ties ? 13 : 50)) {
    let ways = [1]; // in which signs sum to each value of `plus`
    for (const rank of twice) {
      const more = new Array(ways.length + rank).fill(0);
      ways.forEach((count, at) => { more[at] += count / 2; more[at + rank] += count / 2; });
      ways = more;
    }
    return Math.min(1, 2 * Math.min(sum(ways.slice(0, plus + 1)), sum(ways.slice(plus))));
  }
  const deviation = Math.sqrt((n * (n + 1) * (2 * n + 1) - ties / 2) / 24);
  return erfc(Math.abs(plus / 2 - (n * (n + 1)) / 4) / deviation / Math.SQRT2);
};

// Complementary error function of x >= 0, by its series and its continued fraction, to 12 digits.
const erfc = (x) => {
  if (x < 2) {
    let [term, total] = [x, x];
    for (let n = 1; Math.abs(term) > 1e-17 * total; n += 1) {
      term *= (-x * x) / n;
      total += term / (2 * n + 1);
    }
    return 1 - (2 / Math.sqrt(Math.PI)) * total;
  }
  let fraction = x;
  for (let n = 80; n > 0; n -= 1) fraction = x + n / 2 / fraction;
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / fraction;
};

// P values corrected for their number after Holm; NaN stays and is not counted.
const holm = (values) => {
  const order = values.map((_, i) => i).filter((i) => !Number.isNaN(values[i])).sort((i, j) => values[i] - values[j]);
  const corrected = values.map(() => NaN);
  let most = 0;
  order.forEach((i, rank) => { corrected[i] = most = Math.max(most, Math.min(1, (order.length - rank) * values[i])); });
  return corrected;
};
