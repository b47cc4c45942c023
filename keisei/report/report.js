"use strict";
// Puts charts and games into the page, from its data.

const data = JSON.parse(document.getElementById("report-data").textContent);
const shared = new Shared(data.axes, data.resumed);

for (const group of document.querySelectorAll("[data-charts]")) {
  for (const spec of data.charts[group.dataset.charts] || []) new Chart(group, shared, spec);
}
shared.redraw();

for (const control of document.querySelectorAll("[data-axis]")) {
  control.addEventListener("click", () => {
    shared.axis = control.dataset.axis;
    for (const other of document.querySelectorAll("[data-axis]")) {
      other.setAttribute("aria-pressed", String(other.dataset.axis === shared.axis));
    }
    shared.redraw();
  });
}
for (const slider of document.querySelectorAll("[data-smoothing]")) {
  slider.addEventListener("input", () => {
    shared.smoothing = Number(slider.value);
    for (const other of document.querySelectorAll("[data-smoothing]")) other.value = slider.value;
    shared.redraw();
  });
}
for (const details of document.querySelectorAll("details")) {
  details.addEventListener("toggle", () => details.querySelector("[data-charts]") && shared.redraw());
}

const place = document.getElementById("player");
if (place && data.games.length) window.player = new Player(place, data.games);

const root = document.documentElement;
document.getElementById("theme").addEventListener("click", () => {
  const dark = getComputedStyle(root).colorScheme === "dark" ||
    (getComputedStyle(root).colorScheme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  root.dataset.theme = dark ? "light" : "dark";
});
// Where the window's own scheme is dark, paper is white nevertheless: styles for print see to it.
window.addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("section > details, .settings-all")) details.open = true;
  shared.redraw();
});
