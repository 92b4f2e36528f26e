const figures = JSON.parse(document.getElementById("figures").textContent);
const choice = document.getElementById("branch");
const off = new Set();
const PAPER = { panel: 210, square: 420, whole: 660 };

function paperWidth(place) {
  if (place.closest(".panels")) return PAPER.panel;
  return place.classList.contains("square") ? PAPER.square : PAPER.whole;
}

function themed(layout, place) {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const copy = structuredClone(layout);
  copy.font.color = color("--ink");
  copy.hoverlabel = { bgcolor: color("--raised"), bordercolor: color("--rule"), font: { color: color("--ink") } };
  for (const key of Object.keys(copy).filter((key) => /^[xy]axis/.test(key))) {
    Object.assign(copy[key], { gridcolor: color("--grid"), linecolor: color("--rule"), tickcolor: color("--rule"), fixedrange: true });
  }
  if (document.documentElement.classList.contains("paper")) {
    copy.width = paperWidth(place);
  }
  return copy;
}

function shown(traces, legend) {
  return traces.map((trace) => (off.has(`${legend} ${trace.legendgroup ?? trace.name}`) ? { ...trace, visible: false } : trace));
}

function draw() {
  for (const place of document.querySelectorAll(".figure")) {
    const key = place.dataset.figure;
    const figure = figures.page[key] ?? figures.branches[choice.value][key];
    Plotly.react(place, shown(figure.data, place.dataset.legend), themed(figure.layout, place), { responsive: true, displayModeBar: false });
  }
  for (const note of document.querySelectorAll(".of-branch")) {
    note.hidden = note.dataset.branch !== choice.value;
  }
}

function onPaper(paper) {
  const before = [...document.querySelectorAll(".figure")].some((place) => place.layout?.width);
  document.documentElement.classList.toggle("paper", paper);
  for (const place of document.querySelectorAll(".figure")) {
    if (!paper && before) Plotly.purge(place);
  }
  draw();
}

choice?.addEventListener("change", draw);
for (const link of document.querySelectorAll("a[data-branch]")) {
  link.addEventListener("click", () => { choice.value = link.dataset.branch; draw(); });
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
addEventListener("beforeprint", () => onPaper(true));
addEventListener("afterprint", () => onPaper(false));
draw();
