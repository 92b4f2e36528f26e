const figures = JSON.parse(document.getElementById("figures").textContent);
const choice = document.getElementById("branch");

function themed(layout) {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const copy = structuredClone(layout);
  copy.font.color = color("--ink");
  copy.hoverlabel = { bgcolor: color("--raised"), bordercolor: color("--rule"), font: { color: color("--ink") } };
  for (const key of Object.keys(copy).filter((key) => /^[xy]axis/.test(key))) {
    Object.assign(copy[key], { gridcolor: color("--grid"), linecolor: color("--rule"), tickcolor: color("--rule"), fixedrange: true });
  }
  return copy;
}

function draw() {
  for (const place of document.querySelectorAll(".figure")) {
    const key = place.dataset.figure;
    const figure = figures.page[key] ?? figures.branches[choice.value][key];
    Plotly.react(place, figure.data, themed(figure.layout), { responsive: true, displayModeBar: false });
  }
}

choice?.addEventListener("change", draw);
for (const link of document.querySelectorAll("a[data-branch]")) {
  link.addEventListener("click", () => { choice.value = link.dataset.branch; draw(); });
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
draw();
