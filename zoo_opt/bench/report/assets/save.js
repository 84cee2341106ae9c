// Figures as files: SVG with every style in it, and PNG made of that. The colours are those of the scheme that is shown.

const SAVED = { width: 960, height: 540 }; // a line chart is drawn anew for its file, whatever the window is
const MOST_LETTERS = 48; // of a name in a file
const DENSITY = 2; // pixels of a PNG for each of the SVG
const ROOM = { side: 14, top: 44 }; // around the figure, for its title
const STYLES = { "fill": "rgb(0, 0, 0)", "stroke": "none", "stroke-width": "1px", "stroke-dasharray": "none", "stroke-linejoin": "miter",
  "font-size": "16px", "font-weight": "400", "text-anchor": "start", "opacity": "1", "fill-opacity": "1" }; // what a file means where it says nothing
const OF_PAGE = ["class", "style", "tabindex", "data-method", "aria-hidden"];

// The styles of a part that a file has to say: where they are not its parent's, of which all but the opacity are inherited.
const ownStyles = (part, root) => {
  const [computed, above] = [part, part.parentNode].map((element) => getComputedStyle(element));
  return Object.entries(STYLES).map(([name, usual]) => {
    const value = computed.getPropertyValue(name);
    return [name, value === (part === root || name === "opacity" ? usual : above.getPropertyValue(name)) ? null : value];
  });
};
// A copy of a drawing that looks the same without the page: ground, title, and styles as attributes.
const standalone = (drawing, title) => {
  const copy = drawing.cloneNode(true);
  copy.querySelectorAll(".reading").forEach((line) => line.remove());
  copy.classList.remove("dimmed");
  copy.prepend(svg("text", { class: "heading", x: 0, y: -ROOM.side }, title));
  const holder = h("div.saving", {}, copy);
  document.body.append(holder);
  const { fontFamily, backgroundColor } = getComputedStyle(document.body);
  const parts = [copy, ...copy.querySelectorAll("*")];
  const styles = parts.map((part) => ownStyles(part, copy)); // all, before the first of them changes
  holder.remove();
  parts.forEach((part, i) => {
    OF_PAGE.forEach((name) => part.removeAttribute(name));
    styles[i].forEach(([name, value]) => (value === null ? part.removeAttribute(name) : part.setAttribute(name, value)));
  });
  const { width, height } = copy.viewBox.baseVal;
  const size = { x: -ROOM.side, y: -ROOM.top, width: width + 2 * ROOM.side, height: height + ROOM.top + ROOM.side };
  fill(copy, { "font-family": fontFamily, viewBox: Object.values(size).join(" "), width: size.width, height: size.height, "aria-label": title }, []);
  copy.prepend(svg("rect", { ...size, fill: backgroundColor }));
  return copy;
};

const asText = (drawing) => new XMLSerializer().serializeToString(drawing);
const asPng = async (drawing) => {
  const picture = new Image();
  picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(asText(drawing))}`;
  await picture.decode();
  const canvas = h("canvas", { width: DENSITY * drawing.width.baseVal.value, height: DENSITY * drawing.height.baseVal.value });
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
};

// Two buttons that save a figure; `made` gives { drawing, title } when they are pressed.
const saveButtons = (name, made) => {
  const save = async (kind) => {
    const { drawing, title } = made();
    const alone = standalone(drawing, title);
    download(`${slug(title)}.${kind}`, kind === "svg" ? new Blob([asText(alone)], { type: "image/svg+xml" }) : await asPng(alone));
  };
  return h("span.save", {}, ["svg", "png"].map((kind) => h("button.quiet", { type: "button", "aria-label": `Save ${name} as ${kind.toUpperCase()}`,
    onclick: () => save(kind) }, kind.toUpperCase())));
};
const slug = (title) => title.toLowerCase().replace(/[^\p{L}\p{N}.]+/gu, "-").replace(/^[-.]+|[-.]+$/g, "") || "figure";

// Of a line chart: what it shows now, with every name in full at the end of its line.
const saveChart = (name, box) => saveButtons(name, () => {
  const spec = specs.get(box);
  const letters = Math.min(MOST_LETTERS, Math.max(...spec.series.map((s) => s.name.length)));
  const height = Math.max(SAVED.height, 60 + 15 * spec.series.length);
  return { title: spec.title, drawing: chartDrawing(spec, { width: SAVED.width, height }, letters).drawing };
});
// Of a figure that came with the page.
const saveDrawn = (figure) => {
  const title = figure.querySelector("figcaption").textContent;
  return saveButtons(title, () => ({ title, drawing: figure.querySelector("svg") }));
};
