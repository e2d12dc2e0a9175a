"use strict";
// Cameras × times as a table: its numbers are links to the events, its colours how high they reach.
hf2vad.heat = (() => {
  const { el, byId } = hf2vad.dom;
  const { many, number, length } = hf2vad.text;
  const MOST_ROWS = 40;

  const peakOf = (row) => Math.max(...row.cells.map((cell) => (cell && cell[0] ? cell[1] : -Infinity)));

  // Peaks that divide the cells with events into three parts.
  function bounds(rows) {
    const peaks = rows.flatMap((row) => row.cells.filter((cell) => cell && cell[0]).map((cell) => cell[1])).sort((a, b) => a - b);
    return peaks.length ? [peaks[Math.floor(peaks.length / 3)], peaks[Math.floor((2 * peaks.length) / 3)]] : null;
  }

  function cell(row, found, column, title, limits) {
    if (!found) return el("td", { class: "heat-none" }, el("span", { class: "unseen" }, "no footage"));
    const [events, peak, seconds] = found;
    if (!events) return el("td", { class: "heat-0", title: `${length(seconds)} of footage, highest score ${number(peak)}` }, "0");
    const level = peak >= limits[1] ? 3 : peak >= limits[0] ? 2 : 1;
    const text = `${row.camera}, ${title}: ${many(events, "event")}, highest score ${number(peak)}, ${length(seconds)} of footage`;
    const hash = new URLSearchParams({ camera: row.camera, column });
    return el("td", { class: `heat-${level}` }, el("a", { href: `events.html#${hash}`, "aria-label": text, title: text }, String(events)));
  }

  function table(what, columns, rows, limits) {
    const head = columns.map((title) => el("th", { scope: "col" }, ...title.split(" ").flatMap((word, i) => (i ? [el("br"), word] : [word]))));
    const body = rows.map((row) =>
      el("tr", {}, el("th", { scope: "row" }, row.camera), ...row.cells.map((found, i) => cell(row, found, i, columns[i], limits))),
    );
    return el(
      "table",
      { class: "heat" },
      el("caption", { class: "unseen" }, "Number of events by camera and time"),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, `Camera / ${what.toLowerCase()}`), ...head)),
      el("tbody", {}, ...body),
    );
  }

  function show(what, columns, rows) {
    const limits = bounds(rows);
    const sample = (level, text) => el("span", { class: "sample" }, el("span", { class: `heat-${level}`, "aria-hidden": "true" }), ` ${text}`);
    if (limits) {
      byId("heat-key").append(
        "Colour by the highest score: ",
        sample(1, `below ${number(limits[0])}`),
        sample(2, `below ${number(limits[1])}`),
        sample(3, "above"),
      );
    }
    const high = new Set([...rows].sort((a, b) => peakOf(b) - peakOf(a)).slice(0, MOST_ROWS));
    byId("heat").replaceChildren(table(what, columns, rows.filter((row) => high.has(row)), limits));
    const all = byId("heat-all");
    if (rows.length > MOST_ROWS) {
      all.hidden = false;
      all.textContent = `Show all ${rows.length.toLocaleString("en")} cameras, not only the ${MOST_ROWS} with the highest events`;
      all.addEventListener("click", () => {
        byId("heat").replaceChildren(table(what, columns, rows, limits));
        all.hidden = true;
      });
    }
  }

  return { show };
})();
