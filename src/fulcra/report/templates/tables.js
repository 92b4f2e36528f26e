function sortValue(row, column) {
  const text = row.cells[column].textContent.trim();
  if (text.startsWith(">")) return Infinity;
  const number = Number.parseFloat(text.replace("%", ""));
  return /^[-+]?[\d.]/.test(text) && !Number.isNaN(number) ? number : text;
}

function compared(first, second) {
  const missing = (value) => value === "none" || value === "\u2013" || value === "";
  if (missing(first) || missing(second)) return missing(first) - missing(second) || 0;
  if (typeof first === "number" && typeof second === "number") return first === second ? 0 : first - second;
  return String(first).localeCompare(String(second), "en", { numeric: true });
}

function sortRows(table, head, column) {
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.querySelectorAll("th")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [sortValue(row, column), row]);
  const lost = (value) => value === "none" || value === "\u2013" || value === "";
  rows.sort(([a], [b]) => (down && !lost(a) && !lost(b) ? compared(b, a) : compared(a, b)));
  body.append(...rows.map(([, row]) => row));
}

function filterRows(box) {
  const words = box.querySelector("input").value.trim().toLowerCase();
  const { value: verdict, dataset } = box.querySelector("select");
  const rows = [...box.querySelector("tbody").rows];
  for (const row of rows) {
    const other = verdict && row.cells[dataset.column].textContent !== verdict;
    row.hidden = other || !row.textContent.toLowerCase().includes(words);
  }
  const left = rows.filter((row) => !row.hidden).length;
  box.querySelector("output").textContent = `${left} of ${rows.length} shown`;
}

for (const box of document.querySelectorAll(".tabled")) {
  const table = box.querySelector("table");
  for (const button of table.querySelectorAll("button[data-column]")) {
    button.addEventListener("click", () => sortRows(table, button.closest("th"), Number(button.dataset.column)));
  }
  for (const field of box.querySelectorAll("input, select")) field.addEventListener("input", () => filterRows(box));
  if (box.querySelector("input")) filterRows(box);
}
