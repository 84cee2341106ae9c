"use strict";
(() => {
  const groups = JSON.parse(document.getElementById("data").textContent);
  // Okabe and Ito's colours, told apart by most readers, and a few more; ours first, in the order of the suite.
  const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#a6761d", "#66a61e", "#e7298a", "#7f7f7f", "#1b9e9e"];
  const DASHES = ["dot", "dash", "dashdot", "longdash"];
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const style = (group) => {
    const styles = {};
    let peers = 0;
    [...group.methods].sort((a, b) => b.ours - a.ours).forEach((m, i) => {
      styles[m.name] = { color: COLOURS[i % COLOURS.length], dash: m.ours ? "solid" : DASHES[peers++ % DASHES.length], width: m.ours ? 2.4 : 1.9 };
    });
    return styles;
  };

  const layout = (title, x, y) => {
    const axis = { gridcolor: css("--line"), linecolor: css("--line"), zerolinecolor: css("--line"), ticks: "outside", tickcolor: css("--line"), automargin: true };
    return {
      title: title ? { text: title, font: { size: 13 }, x: 0.02, xanchor: "left" } : undefined,
      font: { family: "system-ui, sans-serif", size: 12, color: css("--text") },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 56, r: 12, t: title ? 30 : 10, b: 44 }, showlegend: false, hovermode: "closest",
      modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--line"), activecolor: css("--soft") },
      hoverlabel: { bgcolor: css("--card"), bordercolor: css("--line"), font: { color: css("--text") }, namelength: -1 },
      xaxis: { ...axis, ...x }, yaxis: { ...axis, ...y },
    };
  };
  const OPTIONS = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
  const logX = (text) => ({ type: "log", title: { text, standoff: 8 }, dtick: 1, exponentformat: "power" });
  const rgba = (hex, a) => `rgba(${[1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)).join(",")},${a})`;

  const ecdfTraces = (group, styles, shown) => group.methods.filter((m) => shown.has(m.name)).map((m) => ({
    ...group.ecdf[m.name], name: m.name, mode: "lines", line: { ...styles[m.name], shape: "hv" },
    hovertemplate: "%{x:.3g} evaluations / d<br>%{y:.1%} of the targets",
  }));

  const bandTraces = (curves, styles, shown) => Object.entries(curves).filter(([name]) => shown.has(name)).flatMap(([name, c]) => {
    const s = styles[name];
    const edge = { x: c.x, mode: "lines", line: { width: 0 }, hoverinfo: "skip" };
    return [
      { ...edge, y: c.high },
      { ...edge, y: c.low, fill: "tonexty", fillcolor: rgba(s.color, 0.14) },
      { x: c.x, y: c.median, name, mode: "lines", line: s, hovertemplate: "%{x} evaluations<br>%{y:.3g}" },
    ];
  });

  const drawGroup = (section, group, shown) => {
    const styles = style(group);
    const box = section.querySelector(".ecdf");
    if (group.ecdf) {
      Plotly.react(box, ecdfTraces(group, styles, shown), layout("", logX("evaluations / d"), { title: { text: "fraction of targets" }, range: [0, 1.02], tickformat: ".0%" }), OPTIONS);
    } else {
      box.previousElementSibling.remove();
      box.remove();
    }
    for (const chart of section.querySelectorAll("[data-problem]")) {
      const x = group.figure === "precision" ? logX("evaluations") : { title: { text: "evaluations", standoff: 8 } };
      const y = { type: "log", title: { text: group.figure }, exponentformat: "power", ...(group.figure === "precision" ? { dtick: 2 } : {}) };
      Plotly.react(chart, bandTraces(group.curves[chart.dataset.problem], styles, shown), layout(chart.dataset.problem, x, y), OPTIONS);
    }
  };

  const sections = [...document.querySelectorAll("section.group")].map((section) => {
    const group = groups[Number(section.dataset.group)];
    const styles = style(group);
    const shown = new Set(group.methods.map((m) => m.name));
    for (const m of group.methods) {
      const button = document.createElement("button");
      const dash = { solid: "", dot: "2 3", dash: "6 3", dashdot: "6 3 2 3", longdash: "10 3" }[styles[m.name].dash];
      button.innerHTML = `<svg width="24" height="8"><line x1="0" y1="4" x2="24" y2="4" stroke="${styles[m.name].color}" stroke-width="3" stroke-dasharray="${dash}"/></svg>`;
      button.append(m.name);
      button.title = "Click to show or hide, double-click to show only this one";
      button.setAttribute("aria-pressed", "true");
      button.dataset.method = m.name;
      section.querySelector(".chips").append(button);
    }
    const update = () => {
      for (const b of section.querySelectorAll(".chips button")) b.setAttribute("aria-pressed", String(shown.has(b.dataset.method)));
      drawGroup(section, group, shown);
    };
    section.querySelector(".chips").addEventListener("click", (event) => {
      const name = event.target.closest("button")?.dataset.method;
      if (!name) return;
      if (event.detail === 2) {
        const alone = shown.size === 0; // the first of the two clicks has hidden it
        shown.clear();
        (alone ? group.methods.map((m) => m.name) : [name]).forEach((n) => shown.add(n));
      } else if (!shown.delete(name)) shown.add(name);
      update();
    });
    update();
    return update;
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => sections.forEach((update) => update()));

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const numeric = table.tBodies[0].rows[0]?.cells[column].classList.contains("n");
      head.classList.toggle("n", Boolean(numeric));
      head.tabIndex = 0;
      const sort = () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((h) => h.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const key = (row) => (numeric ? Number(row.cells[column].dataset.v.replace("inf", "Infinity")) : row.cells[column].textContent);
        const compare = (a, b) => (numeric ? (Number.isNaN(a) - Number.isNaN(b)) || a - b || 0 : a.localeCompare(b, undefined, { numeric: true }));
        const rows = [...table.tBodies[0].rows].sort((a, b) => compare(key(a), key(b)) * (up ? 1 : -1));
        table.tBodies[0].append(...rows);
      };
      head.addEventListener("click", sort);
      head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
    });
  }
})();
