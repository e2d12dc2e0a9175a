"use strict";
// One event: its picture with the box, when and how long, what speaks against it, and what else is known of it.
hf2vad.card = (() => {
  const { el, svg } = hf2vad.dom;
  const { clock, length, number, signed, momentUrl } = hf2vad.text;
  const PICTURES = [
    ["appearance", "The object"],
    ["predicted", "Predicted"],
    ["appearance_error", "Prediction error"],
    ["flow", "Its flow"],
    ["reconstructed", "Reconstructed flow"],
    ["flow_error", "Reconstruction error"],
  ];
  const CLIPS = [["clip", "Clip"], ["clip_boxes", "Clip with boxes"]];

  function picture(event) {
    if (!event.files.thumb) return el("div", { class: "picture none" }, "no picture");
    const alt = `Frame ${event.shown_frame} of ${event.name}, at the peak of the event`;
    const box = el("div", { class: "picture" }, el("img", { src: event.files.thumb, alt, loading: "lazy" }));
    if (event.box && event.size) {
      const [x1, y1, x2, y2] = event.box;
      const frame = { x: x1, y: y1, width: x2 - x1, height: y2 - y1, class: "box" };
      box.append(svg("svg", { viewBox: `0 0 ${event.size.join(" ")}`, preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", frame)));
    }
    return box;
  }

  // A bar for each part, as long as its share of the largest.
  function parts(event) {
    const found = Object.entries(event.parts);
    if (!found.length) return "";
    const most = Math.max(...found.map(([, value]) => Math.abs(value)), 1e-9);
    const rows = found.flatMap(([name, value]) => [
      el("dt", {}, hf2vad.features[name] || name),
      el(
        "dd",
        {},
        svg("svg", { viewBox: "0 0 100 8", "aria-hidden": "true", preserveAspectRatio: "none" },
          svg("rect", { width: ((100 * Math.abs(value)) / most).toFixed(1), height: 8, class: value < 0 ? "less" : "more" })),
        ` ${signed(value)}${event.rarity ? "" : " σ"}`,
      ),
    ]);
    const title = event.rarity
      ? `How rare each part is among normal objects: ${event.rarity}`
      : "Parts of the score: weight times deviations from the mean of normal footage";
    const list = el("dl", { class: "parts", title }, ...rows);
    return event.rarity ? el("div", {}, list, el("p", { class: "rarity" }, event.rarity)) : list;
  }

  const figure = (source, text) => el("figure", {}, el("img", { src: source, alt: "", loading: "lazy" }), el("figcaption", {}, text));

  function evidence(event) {
    const pictures = PICTURES.filter(([name]) => event.files[name]);
    const clips = CLIPS.filter(([name]) => event.files[name]);
    if (!pictures.length && !clips.length && !event.nearest.length) return "";
    const details = el("details", {}, el("summary", {}, "Why"));
    details.addEventListener("toggle", () => {
      if (details.children.length > 1) return;
      details.append(el("div", { class: "figures-row" }, ...pictures.map(([name, text]) => figure(event.files[name], text))));
      if (event.nearest.length) {
        const distance = (i) => (event.nearest_distance[i] === undefined ? "normal" : `distance ${number(event.nearest_distance[i])}`);
        details.append(
          el("p", {}, "Nearest normal examples"),
          el("div", { class: "figures-row" }, ...event.nearest.map((source, i) => figure(source, distance(i)))),
        );
      }
      for (const [name, text] of clips) details.append(el("p", {}, el("a", { href: event.files[name] }, text)));
    });
    return details;
  }

  // `choose`: called with the event and whether it is chosen; without it there is no checkbox. `go`: called instead of
  // following the link.
  function card(event, { choose, chosen, go } = {}) {
    const seconds = event.end_s - event.start_s;
    const link = { href: momentUrl(event.video, event.start_s) };
    if (go) link.onclick = (click) => { click.preventDefault(); go(event); };
    const item = el(
      "li",
      { class: "card", "data-key": event.key },
      picture(event),
      el(
        "div",
        { class: "body" },
        el("h3", {}, el("a", link, go ? `${clock(event.start_s)} to ${clock(event.end_s)}` : event.name)),
        go ? "" : el("p", {}, event.when && event.when.length > 10 ? event.when : `${event.when ? `${event.when}, ` : ""}at ${clock(event.start_s)}`),
        el("p", {}, `${length(seconds)} · score ${number(event.peak_score)}`, event.kind ? " · " : "", event.kind ? el("span", { class: "tag" }, event.kind) : ""),
        parts(event),
        evidence(event),
        event.note ? el("p", { class: "soft" }, event.note) : "",
      ),
    );
    if (choose) {
      const box = el("input", { type: "checkbox", checked: chosen, "aria-label": `Choose ${event.name} at ${clock(event.start_s)}`, onchange: () => choose(event, box.checked) });
      item.append(el("label", { class: "choose" }, box, " Choose"));
    }
    return hf2vad.triage.on(item, event);
  }

  return card;
})();
