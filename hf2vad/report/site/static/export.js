"use strict";
// Chosen events as files, made in the browser.
hf2vad.save = (() => {
  const { el } = hf2vad.dom;
  const COLUMNS = [
    "key", "name", "camera", "when", "start_frame", "end_frame", "peak_frame", "start_s", "end_s", "peak_s", "peak_score", "kind",
  ];
  const BOX = ["x1", "y1", "x2", "y2"];

  function plain(event) {
    const row = Object.fromEntries(COLUMNS.map((name) => [name === "name" ? "video" : name, event[name]]));
    Object.keys(hf2vad.features).forEach((name) => { row[name] = event.parts[name] ?? null; });
    BOX.forEach((name, i) => { row[name] = event.box ? event.box[i] : null; });
    return row;
  }

  // A text that a spreadsheet would take for a formula begins with an apostrophe.
  function field(value) {
    if (value === null || value === undefined) return "";
    if (typeof value === "number") return String(value);
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  function csv(events) {
    const rows = events.map(plain);
    const names = Object.keys(plain(events[0]));
    return [names, ...rows.map((row) => names.map((name) => row[name]))].map((row) => row.map(field).join(",")).join("\r\n") + "\r\n";
  }

  const json = (events) => JSON.stringify(events.map(plain), null, 2) + "\n";

  function download(name, kind, text) {
    const url = URL.createObjectURL(new Blob([text], { type: kind }));
    el("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }

  return {
    csv: (events) => download("events.csv", "text/csv", csv(events)),
    json: (events) => download("events.json", "application/json", json(events)),
  };
})();
