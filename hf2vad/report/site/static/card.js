"use strict";
// One event: its picture, when and how long, and why it is one.
hf2vad.card = (() => {
  const { el } = hf2vad.dom;
  const { clock, length, momentUrl } = hf2vad.text;

  function when(event) {
    if (event.when && event.when.length > 10) return event.when;
    return `${event.when ? `${event.when}, ` : ""}at ${clock(event.start_s)}`;
  }

  // `choose`: called with the event and whether it is chosen; without it there is no checkbox. `go`: called instead of
  // following the link.
  function card(event, { choose, chosen, go } = {}) {
    const link = { href: momentUrl(event.video, event.start_s) };
    if (go) link.onclick = (click) => { click.preventDefault(); go(event); };
    const item = el(
      "li",
      { class: "card", "data-key": event.key },
      hf2vad.picture(event),
      el(
        "div",
        { class: "body" },
        el("h3", {}, el("a", link, go ? `${clock(event.start_s)} to ${clock(event.end_s)}` : event.name)),
        el("p", { class: "line" }, go ? "" : `${when(event)} · `, length(event.end_s - event.start_s), event.kind ? " · " : "", event.kind ? el("span", { class: "tag" }, event.kind) : ""),
        event.sentence ? el("p", { class: "sentence" }, event.sentence) : "",
        event.rarity ? el("p", { class: "soft" }, `${event.rarity}.`) : "",
        hf2vad.bars.list(event),
        event.note ? el("p", { class: "soft" }, event.note) : "",
      ),
    );
    const row = el("div", { class: "actions" }, hf2vad.why.button(event));
    if (choose) {
      const box = el("input", { type: "checkbox", checked: chosen, "aria-label": `Choose ${event.name} at ${clock(event.start_s)}`, onchange: () => choose(event, box.checked) });
      row.append(el("label", { class: "choose" }, box, " Choose"));
    }
    item.append(row);
    return hf2vad.triage.on(item, event);
  }

  return card;
})();
