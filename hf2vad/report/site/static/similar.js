"use strict";
// More like this: moments of all cameras and nights that are like an event, where the review server has scores.
hf2vad.similar = (() => {
  const { el } = hf2vad.dom;
  const { clock, momentUrl } = hf2vad.text;

  const row = (moment) =>
    el("li", {}, el("a", { href: momentUrl(moment.video, moment.seconds) }, `${moment.name} at ${clock(moment.seconds)}`), ` distance ${moment.distance.toFixed(0)}`);

  async function ask(event, place) {
    place.replaceChildren(el("p", {}, "Looking …"));
    const answer = await fetch(`similar?event=${event.key}`);
    if (!answer.ok) throw new Error(await answer.text());
    const { moments } = await answer.json();
    place.replaceChildren(moments.length ? el("ol", {}, ...moments.map(row)) : el("p", {}, "Nothing else is like it."));
  }

  // Adds the button to an event's card.
  function on(card, event, name) {
    if (!hf2vad.server?.similar) return;
    const place = el("div", { class: "similar", "aria-live": "polite" });
    const look = () => ask(event, place).catch((error) => place.replaceChildren(el("p", {}, error.message)));
    card.append(el("p", { class: "similar-ask" }, el("button", { type: "button", "aria-label": `More like this: ${name}`, onclick: look }, "More like this")), place);
  }

  return { on };
})();
