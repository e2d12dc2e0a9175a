"use strict";
// Cameras × times as a table: its numbers are events, its colours how far above the camera's threshold it went, and every
// cell with footage leads to its highest moment.
hf2vad.heat = (() => {
  const { el, byId } = hf2vad.dom;
  const { many, number, length, momentUrl } = hf2vad.text;
  const MOST_ROWS = 40;
  const LEVELS = [2, 4];

  function cell(row, found, title) {
    if (!found) return el("td", { class: "heat-none" }, el("span", { class: "unseen" }, "no footage"));
    const [events, peak, seconds, multiple, video, at] = found;
    const level = !events ? 0 : multiple >= LEVELS[1] ? 3 : multiple >= LEVELS[0] ? 2 : 1;
    const height = peak === null ? "no score" : `highest score ${number(peak)}, ${number(multiple, 1)} times the threshold`;
    const text = `${row.camera}, ${title}: ${many(events, "event")}, ${height}, ${length(seconds)} of footage`;
    return el("td", { class: `heat-${level}` }, el("a", { href: momentUrl(video, at), "aria-label": text, title: text }, events ? String(events) : ""));
  }

  function table(what, columns, rows) {
    const head = columns.map((title) => el("th", { scope: "col" }, ...title.split(" ").flatMap((word, i) => (i ? [el("br"), word] : [word]))));
    const events = (row) => el("a", { href: `events.html#${new URLSearchParams({ camera: row.camera })}` }, row.camera);
    const body = rows.map((row) => el("tr", {}, el("th", { scope: "row" }, events(row)), ...row.cells.map((found, i) => cell(row, found, columns[i]))));
    return el(
      "table",
      { class: "heat" },
      el("caption", { class: "unseen" }, "Number of events by camera and time"),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, `Camera / ${what.toLowerCase()}`), ...head)),
      el("tbody", {}, ...body),
    );
  }

  function key() {
    const sample = (level, text) => el("span", { class: "sample" }, el("span", { class: `heat-${level}`, "aria-hidden": "true" }), ` ${text}`);
    byId("heat-key").append(
      sample(1, `1 to ${LEVELS[0]} times the camera's threshold`),
      sample(2, `${LEVELS[0]} to ${LEVELS[1]} times`),
      sample(3, "more"),
      sample(0, "no event"),
      sample("none", "no footage"),
    );
  }

  function show(what, columns, rows) {
    key();
    byId("heat").replaceChildren(table(what, columns, rows.slice(0, MOST_ROWS)));
    const all = byId("heat-all");
    if (rows.length <= MOST_ROWS) return;
    all.hidden = false;
    all.textContent = `Show all ${rows.length.toLocaleString("en")} cameras, not only the ${MOST_ROWS} busiest`;
    all.addEventListener("click", () => {
      byId("heat").replaceChildren(table(what, columns, rows));
      all.hidden = true;
    });
  }

  return { show };
})();
