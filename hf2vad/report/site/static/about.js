"use strict";
// What the result rests on.
(() => {
  const { byId, el, table } = hf2vad.dom;
  const { count } = hf2vad.text;

  async function show() {
    const about = await hf2vad.load("about");
    for (const section of about.sections) {
      byId("about").append(
        el("h2", {}, section.title),
        el("dl", { class: "facts" }, ...section.rows.flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)])),
      );
    }
    const { rows, count: all } = about.cameras;
    byId("about-cameras").hidden = rows.length === 0;
    if (rows.length) {
      const cells = rows.map(([name, objects, own]) => [name, count(objects), own ? `${own} % its own` : "that of all cameras"]);
      byId("cameras").append(table("Cameras that were learnt from", ["Camera", "Objects learnt", "What is usual there"], cells));
      if (all > rows.length) byId("cameras").append(el("p", {}, `${count(rows.length)} of ${count(all)}.`));
    }
    document.body.dataset.ready = "yes";
  }

  hf2vad.shown(show());
})();
