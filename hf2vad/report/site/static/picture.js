"use strict";
// The picture of an event with its box, in a frame whose shape is known before it is loaded.
hf2vad.picture = (() => {
  const { el, svg } = hf2vad.dom;

  function picture(event) {
    const [width, height] = event.size || [16, 9];
    if (!event.files.thumb) return el("div", { class: "picture none" }, svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }), el("span", {}, "no picture"));
    const alt = `Frame ${event.shown_frame} of ${event.name}, at the peak of the event`;
    const box = el("div", { class: "picture" }, el("img", { src: event.files.thumb, alt, loading: "lazy", width, height }));
    if (event.box && event.size) {
      const [x1, y1, x2, y2] = event.box;
      const frame = { x: x1, y: y1, width: x2 - x1, height: y2 - y1, class: "box" };
      box.append(svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", frame)));
    }
    return box;
  }

  return picture;
})();
