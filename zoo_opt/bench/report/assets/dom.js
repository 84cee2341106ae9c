// Elements, and numbers for people.

// h("td.number", { title: "exact" }, "1.2", child): an element; text is always text, never markup.
const h = (what, attributes = {}, ...children) => {
  const [name, ...classes] = what.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  return fill(element, attributes, children);
};
const svg = (name, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
const fill = (element, attributes, children) => {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
};
const byId = (id) => document.getElementById(id);

// Draws once an element comes near the window, at once if it is there already; a later call takes an earlier one's place.
const [undrawn, nearby] = [new WeakMap(), new WeakSet()];
const drawNow = (element) => {
  const draw = undrawn.get(element);
  undrawn.delete(element);
  draw?.();
  element.dataset.lazy = "drawn";
};
const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) nearby.add(target);
    else nearby.delete(target);
    if (isIntersecting) drawNow(target);
  }
}, { rootMargin: "400px" });
const whenNear = (element, draw) => {
  element.dataset.lazy = "waiting";
  undrawn.set(element, draw);
  watcher.observe(element);
  if (nearby.has(element)) drawNow(element);
};
addEventListener("beforeprint", () => document.querySelectorAll("[data-lazy]").forEach(drawNow));

// Gives the reader a file.
const download = (name, blob) => {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
};

const whole = (value) => (Number.isNaN(value) ? "–" : Math.round(value).toLocaleString("en"));
const plural = (n, one, many = `${one}s`) => `${whole(n)} ${n === 1 ? one : many}`;
const superscript = (n) => String(n).replace(/[-\d]/g, (c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻");

// Three digits; powers of ten where the number is very large or small.
const say = (value, digits = 3) => {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) {
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
    return `${minus(mantissa.replace(/\.0+$/, ""))}·10${superscript(Number(exponent))}`.replace(/^1·/, "");
  }
  if (size >= 1000) return minus(whole(value));
  return minus(String(Number(value.toPrecision(digits))));
};
const minus = (text) => text.replace(/^-/, "−");
const share = (value) => (Number.isNaN(value) ? "–" : `${(100 * value).toFixed(1)} %`);
const percent = (value) => `${Math.round(100 * value)} %`;
const unit = (value, digits = 3) => (Number.isNaN(value) ? "–" : minus(value.toFixed(digits))); // of what lies between 0 and 1
const signed = (value, digits = 3) => (value > 0 ? "+" : "") + unit(value, digits);
const range = ({ low, high }, format = unit) => (Number.isNaN(low) ? "–" : `${format(low)} to ${format(high)}`);
const probability = (p) => (Number.isNaN(p) ? "–" : p < 0.001 ? "< .001" : p.toFixed(3).replace(/^0/, ""));
