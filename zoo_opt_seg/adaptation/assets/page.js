// Buttons that save the page's figures. Without scripts the page shows all the rest.

for (const figure of document.querySelectorAll("figure")) {
  const drawing = figure.querySelector("svg");
  const title = drawing.getAttribute("aria-label");
  figure.append(saveButtons(title, () => ({ title, drawing })));
}

// The bars of the rows are HTML, so that they fit a phone; their file is drawn from what they say.
const bars = document.querySelector(".bars");
const barRows = () => [...bars.querySelectorAll(".who")].map((who) => {
  const [bar, value] = [who.nextElementSibling.firstElementChild, who.nextElementSibling.nextElementSibling];
  return { name: who.firstChild.textContent, value: value.textContent, at: parseFloat(bar.style.width) / 100, color: getComputedStyle(bar).backgroundColor };
});
if (bars) {
  const title = "Dice of each row";
  bars.after(saveButtons(title, () => ({ title, drawing: rowsDrawing(barRows(), [0, 1], String) })));
}
