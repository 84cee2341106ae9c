// Tables that sort, turn pages, are searched and can be taken along as CSV.

const PAGE = 25;

// A column is { title, key(row) -> what is sorted and exported, show(row) -> text or element, find(row) -> what is searched,
// text: whether the key is text, hint, best: whether high or low values come first }.
// Returns { element, update(rows, columns) }; sorting and search stay over updates.
const sortable = ({ label, file, search = null, order = null }) => {
  let [rows, columns, page] = [[], [], 0];
  let sorting = order; // { title, up }
  const box = h("div.scroll", { tabindex: 0, role: "region", "aria-label": label });
  const pager = h("div.pager");
  const field = search && h("input", { type: "search", placeholder: search, "aria-label": `${search} in: ${label}`,
    oninput: () => { page = 0; draw(); } });
  const save = h("button.quiet", { type: "button", onclick: () => download(`${file}.csv`, new Blob([csv(shown(), columns)], { type: "text/csv" })) }, "Save as CSV");
  const element = h("div.table", {}, field && h("div.tools", {}, field), box, h("div.foot", {}, pager, save));

  const shown = () => {
    const wanted = (field?.value ?? "").trim().toLowerCase().split(/\s+/).filter(Boolean);
    const texts = columns.filter((column) => column.text);
    const kept = rows.filter((row) => {
      const text = wanted.length ? texts.map((column) => (column.find ?? column.key)(row)).join(" ").toLowerCase() : "";
      return wanted.every((word) => text.includes(word));
    });
    const column = columns.find(({ title }) => title === sorting?.title);
    return column ? sorted(kept, column, sorting.up) : kept;
  };
  const draw = (focus = null) => {
    const all = shown();
    const pages = Math.max(1, Math.ceil(all.length / PAGE));
    page = Math.min(page, pages - 1);
    const head = columns.map((column) => {
      const direction = sorting?.title === column.title ? (sorting.up ? "ascending" : "descending") : null;
      return h("th", { scope: "col", class: column.text ? null : "n", "aria-sort": direction }, h("button", { type: "button", title: column.hint,
        onclick: () => { sorting = { title: column.title, up: direction ? direction === "descending" : Boolean(column.text) || column.best !== "high" };
          page = 0; draw(column.title); } }, column.title));
    });
    const body = all.slice(page * PAGE, (page + 1) * PAGE).map((row) =>
      h("tr", {}, columns.map((column) => h("td", { class: column.text ? null : "n" }, column.show ? column.show(row) : column.key(row)))));
    box.replaceChildren(h("table", {}, h("caption", {}, label), h("thead", {}, h("tr", {}, head)), h("tbody", {}, body)));
    if (focus) [...box.querySelectorAll("th button")].find((button) => button.textContent === focus)?.focus();
    const turn = (to, text) => h("button.quiet", { type: "button", disabled: to < 0 || to >= pages, onclick: () => { page = to; draw(); } }, text);
    const place = `${whole(page * PAGE + 1)} to ${whole(Math.min(all.length, (page + 1) * PAGE))} of ${whole(all.length)}`;
    pager.replaceChildren(...(pages > 1
      ? [turn(page - 1, "‹ Back"), h("span", { role: "status" }, place), turn(page + 1, "Next ›")]
      : all.length ? [] : [h("span", { role: "status" }, "Nothing to show.")]));
  };
  return { element, update: (newRows, newColumns) => { [rows, columns] = [newRows, newColumns]; draw(); } };
};

const sorted = (rows, column, up) => {
  const compare = (a, b) => {
    if (column.text) return a.localeCompare(b, "en", { numeric: true });
    return Number.isNaN(a) - Number.isNaN(b) || (a === b ? 0 : a - b);
  };
  return rows.map((row, i) => ({ row, i, key: column.key(row) }))
    .sort((a, b) => {
      const none = Number.isNaN(a.key) - Number.isNaN(b.key); // what is not known comes last either way
      return none || compare(a.key, b.key) * (up ? 1 : -1) || a.i - b.i;
    })
    .map(({ row }) => row);
};
const csv = (rows, columns) => {
  const cell = (value) => (/[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
  const lines = [columns.map(({ title }) => title), ...rows.map((row) => columns.map((column) => column.key(row)))];
  return lines.map((line) => `${line.map(cell).join(",")}\n`).join("");
};
