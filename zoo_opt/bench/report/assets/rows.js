// Names with a bar, or a dot on its interval, and a number each, as a drawing: for files of what pages show as HTML.

const ROWS = { high: 26, letter: 7.4, scale: 300, gap: 16, most: 60 }; // letters of a name at most

// `rows`: { name, value, color, at } for a bar from the left, or { name, value, color, at, low, high } for a dot on its
// interval; places on the scale `[low, high]`, whose ends are written above it.
const rowsDrawing = (rows, [low, high], format) => {
  const names = rows.map(({ name }) => (name.length > ROWS.most ? `${name.slice(0, ROWS.most - 1)}…` : name));
  const [left, beside] = [names, rows.map(({ value }) => value)].map((texts) => ROWS.letter * Math.max(...texts.map((text) => text.length)));
  const start = left + ROWS.gap;
  const place = (value) => start + (ROWS.scale * (Math.min(high, Math.max(low, value)) - low)) / (high - low);
  const end = place(high);
  const line = ({ value, color, at, low: from, high: to }, i) => {
    const y = ROWS.high * (i + 1.5);
    const bar = { y: y - 7, height: 14, rx: 3, style: `fill:${color}` };
    return [svg("text", { class: "name", x: 0, y: y + 5 }, names[i]),
      from === undefined ? svg("rect", { x: start, width: place(at) - start, ...bar })
        : [svg("line", { class: "rule", x1: start, x2: end, y1: y, y2: y }),
          Number.isFinite(from) && svg("rect", { x: place(from), width: place(to) - place(from), ...bar, y: y - 2, height: 4, style: `fill:${color};fill-opacity:.45` }),
          svg("circle", { cx: place(at), cy: y, r: 4.5, style: `fill:${color}` })],
      svg("text", { class: "name", x: end + ROWS.gap, y: y + 5 }, value)];
  };
  const ends = [[start, low, "start"], [end, high, "end"]].map(([x, value, anchor]) => svg("text", { class: "scale-end", x, y: 12, "text-anchor": anchor }, format(value)));
  return svg("svg", { class: "rows", viewBox: `0 0 ${end + ROWS.gap + beside} ${ROWS.high * (rows.length + 1)}` }, ends, rows.map(line));
};
