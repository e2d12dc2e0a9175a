"use strict";
// The picture of an event: two seconds around its peak, or the peak itself with the object's box, in a frame whose shape
// is known before it is loaded.
hf2vad.picture = (() => {
  const { el, svg } = hf2vad.dom;

  function picture(event) {
    const [width, height] = event.size || [16, 9];
    const { thumb, preview } = event.files;
    if (!thumb) return el("div", { class: "picture none" }, svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }), el("span", {}, "no picture"));
    const alt = `Frame ${event.shown_frame} of ${event.name}, at the peak of the event`;
    const src = preview && hf2vad.moving.on() ? preview : thumb;
    const image = el("img", { src, alt, loading: "lazy", width, height, "data-moving": preview, "data-still": thumb });
    const place = el("div", { class: preview ? "picture moves" : "picture" }, image);
    const box = event.whole || event.box;
    if (box && event.size) {
      const [x1, y1, x2, y2] = box;
      const frame = { x: x1, y: y1, width: x2 - x1, height: y2 - y1, class: "box" };
      place.append(svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", frame)));
    }
    return place;
  }

  return picture;
})();
