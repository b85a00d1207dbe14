"use strict";
// Theme: the system's own, until the button is pressed; remembered where the browser allows it.
const root = document.documentElement;
const memory = {
  get() { try { return localStorage.getItem("avse-theme"); } catch { return null; } },
  set(theme) { try { localStorage.setItem("avse-theme", theme); } catch { /* not remembered, then */ } },
};
if (memory.get()) root.dataset.theme = memory.get();
document.getElementById("theme").addEventListener("click", () => {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const theme = (root.dataset.theme || system) === "dark" ? "light" : "dark";
  root.dataset.theme = theme;
  memory.set(theme);
});

// Tables: search, sort, and no more rows at once than one wants to scroll through.
const PAGE = 50;
const asNumber = (text) => (text === "–" || text === "" ? NaN : Number(text.replace("−", "-")));

function setUpTable(box) {
  const body = box.querySelector("tbody");
  const headers = [...box.querySelectorAll("thead th")];
  const search = box.querySelector("input");
  const output = box.querySelector("output");
  const more = box.querySelector(".more");
  const rows = [...body.rows].map((row) => ({
    row, words: [...row.cells].map((cell) => cell.textContent),
  }));
  const labels = headers.map((header) => header.textContent);
  for (const entry of rows) entry.text = entry.words.join(" ").toLowerCase();
  let limit = PAGE;

  function show() {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const { row, text } of rows) {
      const fits = wanted.every((word) => text.includes(word));
      found += fits;
      row.hidden = !fits || found > limit;
      if (!row.hidden) [...row.cells].forEach((cell, index) => { cell.dataset.label = labels[index]; });
    }
    box.dataset.ready = "";
    more.hidden = found <= limit;
    const shown = Math.min(found, limit);
    output.textContent = `${shown} of ${found} rows` + (found < rows.length ? `, ${rows.length} in all` : "");
  }

  function sort(index) {
    const header = headers[index];
    const numeric = header.classList.contains("number");
    const first = numeric ? "descending" : "ascending";
    const other = numeric ? "ascending" : "descending";
    const direction = header.getAttribute("aria-sort") === first ? other : first;
    headers.forEach((one) => one.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    rows.sort((a, b) => {
      if (!numeric) return sign * a.words[index].localeCompare(b.words[index], "en", { numeric: true });
      const [x, y] = [asNumber(a.words[index]), asNumber(b.words[index])];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return sign * (x - y);
    });
    body.append(...rows.map(({ row }) => row));
    show();
  }

  headers.forEach((header, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    button.addEventListener("click", () => sort(index));
    header.replaceChildren(button);
  });
  search.addEventListener("input", () => { limit = PAGE; show(); });
  more.addEventListener("click", () => { limit *= 4; show(); });
  show();
}
document.querySelectorAll("[data-table]").forEach(setUpTable);

// Players: one at a time; another one of the same group goes on at the same moment; a line runs over the picture.
let playing = null;

function setUpTrack(track) {
  const audio = track.querySelector("audio");
  const lanes = track.querySelector(".lanes");
  if (!audio) return;
  const head = lanes.querySelector(".playhead");
  const seconds = Number(lanes.dataset.seconds);
  const group = track.parentElement;
  const draw = () => {
    head.hidden = audio.currentTime === 0;
    head.style.setProperty("--at", `${Math.min(100, (100 * audio.currentTime) / seconds)}%`);
  };
  const run = () => { draw(); if (!audio.paused) requestAnimationFrame(run); };
  audio.addEventListener("play", () => {
    if (playing && playing !== audio && !playing.paused) {
      if (group.contains(playing)) audio.currentTime = playing.currentTime;
      playing.pause();
    }
    playing = audio;
    run();
  });
  audio.addEventListener("seeked", draw);
  lanes.addEventListener("click", (event) => {
    const box = lanes.getBoundingClientRect();
    audio.currentTime = ((event.clientX - box.left) / box.width) * seconds;
    audio.play();
  });
}
document.querySelectorAll(".track").forEach(setUpTrack);
document.querySelectorAll("details").forEach((box) => box.addEventListener("toggle", () => {
  box.querySelectorAll("audio").forEach((audio) => { audio.preload = "metadata"; });
}));
