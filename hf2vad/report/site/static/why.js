"use strict";
// Why an event is one, in a wide panel: what was seen, what the networks made of it, and what is normal and most like it.
hf2vad.why = (() => {
  const { el } = hf2vad.dom;
  const { clock, count, number, momentUrl } = hf2vad.text;
  const PICTURES = [
    ["appearance", "The object", "as it is scored: 32×32 pixels."],
    ["predicted", "What the network expected", "from the four frames before."],
    ["appearance_error", "Where it looks different", "yellow: most; violet: not at all."],
    ["flow", "How it moves", "colour: direction; strength: speed; white: still."],
    ["reconstructed", "What the network made of it", "the nearest motion that it learnt as normal, in the same colours."],
    ["flow_error", "Where it moves differently", "yellow: most; violet: not at all."],
  ];
  const CLIPS = [["clip", "Clip"], ["clip_boxes", "Clip with boxes"]];

  const figure = (source, title, text, wide) =>
    el("figure", { class: wide ? "pair" : null }, el("img", { src: source, alt: "", width: wide ? 256 : 128, height: 128 }), el("figcaption", {}, el("b", {}, title), ` ${text}`));

  function examples(event) {
    if (!event.nearest.length) return [];
    const whose = event.nearest_camera ? "of this camera" : "of all cameras";
    const of = event.nearest_of ? `${count(event.nearest_of)} normal examples ${whose}` : "the normal examples";
    const far = (i) => (event.nearest_distance[i] === undefined ? "" : `Distance ${number(event.nearest_distance[i])}.`);
    return [
      el("h3", {}, "Most like it among what is normal"),
      el("p", { class: "soft" }, `The nearest of ${of}, each as it looks and as it moves. Two of them taken at random are 2 apart.`),
      el("div", { class: "figures-row" }, ...event.nearest.map((source, i) => figure(source, `${i + 1}.`, far(i), true))),
    ];
  }

  function panel(event) {
    const pictures = PICTURES.filter(([name]) => event.files[name]);
    const clips = CLIPS.filter(([name]) => event.files[name]);
    const title = `why-${event.key}`;
    const close = el("button", { type: "button", onclick: () => dialog.close() }, "Close");
    const dialog = el(
      "dialog",
      { class: "why", "aria-labelledby": title },
      el("div", { class: "why-head" }, el("h2", { id: title }, event.sentence || "Why this is an event"), close),
      el("p", {}, event.rarity ? `${event.rarity}.` : event.score === null ? "" : `Score ${number(event.score)}: the sum of its parts, in weighted standard deviations.`),
      el("p", { class: "soft" }, `${event.name} at `, el("a", { href: momentUrl(event.video, event.start_s) }, clock(event.start_s)), `, frame ${event.shown_frame}: score, parts and pictures are of this one frame.`),
      el("div", { class: "why-top" }, hf2vad.picture(event), event.bars.length ? el("div", {}, hf2vad.bars.list(event), el("p", { class: "soft" }, hf2vad.bars.key())) : ""),
      pictures.length ? el("h3", {}, "What was seen") : "",
      pictures.length ? el("div", { class: "figures-row" }, ...pictures.map(([name, head, text]) => figure(event.files[name], head, text))) : "",
      ...examples(event),
      ...clips.map(([name, text]) => el("p", {}, el("a", { href: event.files[name] }, text))),
      event.note ? el("p", { class: "soft" }, event.note) : "",
    );
    // A click beside the panel closes it.
    dialog.addEventListener("click", (click) => { if (click.target === dialog) dialog.close(); });
    dialog.addEventListener("close", () => dialog.remove());
    return dialog;
  }

  function open(event) {
    const dialog = panel(event);
    document.body.append(dialog);
    dialog.showModal();
  }

  const button = (event) => el("button", { type: "button", class: "why-open", "aria-label": `Why: ${event.name} at ${clock(event.start_s)}`, onclick: () => open(event) }, "Why");

  return { button, open };
})();
