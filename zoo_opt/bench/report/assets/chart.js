// Line charts in SVG, with a reading line under the pointer, a finger or the arrow keys.

const stroke = (look) => ({ stroke: look.color, "stroke-width": look.width, "stroke-dasharray": look.dash, fill: "none" });
const swatch = (look) => svg("svg", { width: 28, height: 10, class: "swatch", "aria-hidden": "true" },
  svg("line", { x1: 1, x2: 27, y1: 5, y2: 5, ...stroke(look) }));

// --- axes ---

const axis = ({ log = false, min, max, format = say }, from, to) => {
  const at = log ? Math.log10 : Number;
  const [low, high] = [at(min), at(max) > at(min) ? at(max) : at(min) + 1];
  const place = (value) => from + ((at(value) - low) / (high - low)) * (to - from);
  const value = (pixel) => {
    const v = low + ((pixel - from) / (to - from)) * (high - low);
    return log ? 10 ** v : v;
  };
  const room = Math.max(2, Math.floor(Math.abs(to - from) / (log ? 44 : 56)));
  return { place, value, format, ticks: log ? decades(low, high, room) : nice(low, high, room) };
};
const decades = (low, high, room) => {
  const first = Math.ceil(low - 1e-9);
  const count = Math.floor(high + 1e-9) - first + 1;
  if (count < 2) return nice(10 ** low, 10 ** high, room);
  const every = Math.ceil(count / room);
  return Array.from({ length: Math.ceil(count / every) }, (_, i) => 10 ** (first + i * every));
};
const nice = (low, high, room) => {
  const rough = (high - low) / room;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((m) => m * power >= rough);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
};
const power = (value) => { // a tick of a logarithmic axis
  const exponent = Math.log10(value);
  if (Math.abs(exponent - Math.round(exponent)) > 1e-9) return say(value);
  return exponent >= -1 && exponent <= 3 ? say(value) : `10${superscript(Math.round(exponent))}`;
};

// --- lines ---

const usable = (value, log) => Number.isFinite(value) && !(log && value <= 0);
const path = (xs, ys, x, y, { step, log }) => {
  let text = "";
  let drawing = false;
  xs.forEach((value, i) => {
    if (!usable(ys[i], log)) { drawing = false; return; }
    const [px, py] = [x.place(value).toFixed(1), y.place(ys[i]).toFixed(1)];
    text += !drawing ? `M${px} ${py}` : step ? `H${px}V${py}` : `L${px} ${py}`;
    drawing = true;
  });
  return text;
};
const bandPath = ({ x: xs, low, high }, x, y, clip) => {
  const inside = xs.map((_, i) => i).filter((i) => usable(low[i], clip.log));
  const top = inside.map((i) => `${x.place(xs[i]).toFixed(1)} ${y.place(Math.min(high[i], clip.max)).toFixed(1)}`);
  const bottom = inside.map((i) => `${x.place(xs[i]).toFixed(1)} ${y.place(low[i]).toFixed(1)}`).reverse();
  return inside.length > 1 ? `M${[...top, ...bottom].join("L")}Z` : "";
};
const valueAt = ({ x, y }, at) => { // the latest value
  let [low, high] = [0, x.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x[middle] <= at * (1 + 1e-9)) low = middle + 1;
    else high = middle;
  }
  return low ? y[low - 1] : NaN;
};

const LETTERS = 23; // of a name at the end of a line, on the page

// The drawing of { title, label, x, y, series: [{ name, look, x, y, low, high }], bands, step, best }, with its axes and frame.
// `letters` is the room for names at the ends of the lines, 0 for none; `best` says whether "high" or "low" values come first
// when values are read.
const chartDrawing = (spec, { width, height }, letters = 0) => {
  const frame = { left: 54, right: width - (letters ? 18 + 7 * letters : 20), top: 10, bottom: height - 42 };
  const x = axis(spec.x, frame.left, frame.right);
  const y = axis(spec.y, frame.bottom, frame.top);
  const drawing = svg("svg", { class: spec.series.length > 6 ? "many" : null, viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    tabindex: 0, "aria-label": `${spec.label}. Arrow keys read values.` },
    svg("g", { class: "axes", "aria-hidden": "true" },
      y.ticks.map((t) => [svg("line", { x1: frame.left, x2: frame.right, y1: y.place(t), y2: y.place(t) }),
        svg("text", { x: frame.left - 7, y: y.place(t) + 4, "text-anchor": "end" }, (spec.y.log ? power : spec.y.tick ?? y.format)(t))]),
      x.ticks.map((t) => [svg("line", { x1: x.place(t), x2: x.place(t), y1: frame.top, y2: frame.bottom }),
        svg("text", { x: x.place(t), y: frame.bottom + 16, "text-anchor": "middle" }, (spec.x.log ? power : x.format)(t))]),
      svg("text", { class: "title", x: (frame.left + frame.right) / 2, y: height - 6, "text-anchor": "middle" }, spec.x.title),
      svg("text", { class: "title", transform: `translate(12 ${(frame.top + frame.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" },
        spec.y.title)),
    [...spec.series.filter((s) => s.low), ...(spec.bands ?? [])].map((s) => svg("path", { class: "band", "data-method": s.name, fill: s.look.color,
      d: bandPath(s, x, y, spec.y) })),
    spec.series.map((s) => svg("path", { class: "line", "data-method": s.name, ...stroke(s.look),
      d: path(s.x, s.y, x, y, { step: spec.step, log: spec.y.log }) })),
    letters && endNames(spec, y, frame, letters));
  return { drawing, x, y, frame };
};

// Draws a chart into a box, again when it changes width; `named` says whether names stand at the lines, or in a legend where
// there is no room for them.
const lineChart = (box, spec) => {
  const draw = () => {
    const width = box.clientWidth;
    if (!width) return;
    const named = spec.named && width > 620;
    const { drawing, x, y, frame } = chartDrawing(spec, { width, height: box.clientHeight || 280 }, named && LETTERS);
    reading(drawing, spec, x, y, frame);
    box.replaceChildren(drawing);
    if (spec.named) {
      const keys = spec.series.map((s) => h("li", {}, swatch(s.look), s.name));
      box.nextElementSibling?.matches(".legend") && box.nextElementSibling.remove();
      if (!named) box.after(h("ul.legend", { "aria-hidden": "true" }, keys));
    }
  };
  draw();
  resized.observe(box);
  redraw.set(box, draw);
  specs.set(box, spec);
};
const specs = new WeakMap(); // what a box shows
const redraw = new WeakMap();
const resized = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    if (Math.abs(contentRect.width - (target.firstChild?.clientWidth ?? 0)) > 1) redraw.get(target)?.();
  }
});

// Names right of the lines' ends, moved apart where they would overlap.
const endNames = (spec, y, frame, letters) => {
  const ends = spec.series
    .map((s) => ({ s, at: y.place(s.y.findLast((value) => usable(value, spec.y.log))) }))
    .filter(({ at }) => Number.isFinite(at))
    .sort((a, b) => a.at - b.at);
  const gap = Math.min(15, (frame.bottom - frame.top) / Math.max(1, ends.length));
  let before = -Infinity;
  for (const end of ends) before = end.put = Math.max(end.at, before + gap);
  let after = frame.bottom + gap;
  for (const end of [...ends].reverse()) after = end.put = Math.min(end.put, after - gap);
  return svg("g", { class: "names", "aria-hidden": "true" }, ends.map(({ s, at, put }) => [
    svg("path", { d: `M${frame.right + 2} ${at}L${frame.right + 14} ${put}`, stroke: s.look.color, fill: "none" }),
    svg("text", { x: frame.right + 18, y: put + 4, "data-method": s.name }, s.name.length > letters ? `${s.name.slice(0, letters - 1)}…` : s.name)]));
};

// --- reading values ---

const tip = h("div.tip", { role: "status", hidden: true });
let hideReading = () => {}; // of the chart that was read last
addEventListener("scroll", () => hideReading(), { passive: true });
addEventListener("pointerdown", (event) => { if (!event.target.closest?.(".chart")) hideReading(); });
const reading = (drawing, spec, x, y, frame) => {
  const line = svg("line", { class: "reading", y1: frame.top, y2: frame.bottom, visibility: "hidden" });
  drawing.append(line);
  let at = null;
  const show = (pixel, pointerY) => {
    at = Math.min(frame.right, Math.max(frame.left, pixel));
    const value = x.value(at);
    const found = spec.series.map((s) => ({ s, v: valueAt(s, value) })).filter(({ v }) => !Number.isNaN(v));
    found.sort((a, b) => (spec.best === "high" ? b.v - a.v : a.v - b.v));
    const near = pointerY === null ? null : found.reduce((best, each) => {
      const distance = usable(each.v, spec.y.log) ? Math.abs(y.place(each.v) - pointerY) : Infinity;
      return distance < (best?.distance ?? 24) ? { ...each, distance } : best;
    }, null);
    if (hideReading !== hide) hideReading();
    hideReading = hide;
    line.setAttribute("visibility", "visible");
    line.setAttribute("x1", at);
    line.setAttribute("x2", at);
    highlight(near?.s.name ?? null, drawing);
    tip.replaceChildren(h("b", {}, `${spec.x.name ?? spec.x.title}: ${spec.x.format?.(value) ?? say(value)}`), h("table", {}, found.map(({ s, v }) =>
      h("tr", { class: s === near?.s ? "near" : null }, h("td", {}, swatch(s.look)), h("td", {}, s.name), h("td.n", {}, (spec.y.format ?? say)(v))))));
    tip.hidden = false;
    const home = drawing.getBoundingClientRect();
    const left = home.left + at + 16 + tip.offsetWidth > innerWidth ? home.left + at - 16 - tip.offsetWidth : home.left + at + 16;
    tip.style.left = `${Math.max(4, Math.min(left, innerWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${Math.max(4, Math.min(home.top + 10, innerHeight - tip.offsetHeight - 4))}px`;
  };
  const hide = () => {
    tip.hidden = true;
    line.setAttribute("visibility", "hidden");
    highlight(null, drawing);
  };
  const leave = (event) => { if (event.pointerType !== "touch") hide(); }; // after a finger the reading stays
  const follow = (event) => {
    const home = drawing.getBoundingClientRect();
    show(event.clientX - home.left, event.clientY - home.top);
  };
  drawing.addEventListener("pointermove", follow);
  drawing.addEventListener("pointerdown", follow);
  drawing.addEventListener("pointerleave", leave);
  drawing.addEventListener("blur", hide);
  drawing.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") hide();
    if (!step) return;
    event.preventDefault();
    show((at ?? frame.left) + (step * (frame.right - frame.left)) / 40, null);
  });
};

// Brings one method's lines forward (null: none) in a drawing or the whole page.
const highlight = (name, where = document) => {
  for (const drawing of where === document ? document.querySelectorAll(".chart svg") : [where]) {
    drawing.classList.toggle("dimmed", name !== null);
    for (const part of drawing.querySelectorAll("[data-method]")) part.classList.toggle("near", part.dataset.method === name);
  }
};
