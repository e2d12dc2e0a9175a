"use strict";
// Reviewing: three marks on each card, by buttons and keys; what is marked is hidden, and what is left is counted.
hf2vad.triage = (() => {
  const { byId, el } = hf2vad.dom;
  const { clock, count } = hf2vad.text;
  const VERDICTS = [["reviewed", "Reviewed", "1"], ["interesting", "Interesting", "2"], ["normal", "Normal", "3"]];
  const SHOWN = [["left", "left to review"], ["interesting", "interesting"], ["normal", "normal"], ["reviewed", "reviewed"], ["all", "all"]];
  const BACKGROUND = 4;
  const events = new Map();
  const undo = [];
  const refreshes = [];
  let shown = "left";

  const verdict = (event) => hf2vad.marks.of(event);
  const shows = (event) => shown === "all" || (shown === "left" ? !verdict(event) : verdict(event) === shown);
  const cards = () => [...document.querySelectorAll("li.card")];
  const visible = () => cards().filter((card) => !card.hidden);
  const eventOf = (card) => events.get(card.dataset.key);

  function paint(card) {
    const event = eventOf(card);
    const now = verdict(event);
    card.dataset.verdict = now;
    card.hidden = !shows(event);
    card.querySelectorAll(".triage button[data-verdict]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.verdict === now)));
  }

  function say() {
    if (!byId("triage-left")) return;
    const left = [...events.values()].filter((event) => !verdict(event)).length;
    byId("triage-left").textContent = `${count(left)} of ${count(events.size)} left to review`;
    byId("triage-state").textContent = hf2vad.marks.state();
    byId("triage-undo").disabled = !undo.length;
    byId("triage-start").disabled = !visible().length;
    byId("triage-done").hidden = visible().length > 0 || !events.size;
  }

  function repaint() {
    cards().forEach(paint);
    if (!visible().length) refreshes.forEach((refresh) => refresh());
    say();
  }

  function focus(card) {
    (card ?? byId("triage-undo")).focus();
  }

  // The card after one, or else before it; the focus goes there when that one is hidden.
  function neighbour(card) {
    const all = visible();
    const place = all.indexOf(card);
    return all[place + 1] ?? all[place - 1];
  }

  function mark(card, wanted) {
    const event = eventOf(card);
    const before = verdict(event);
    const next = neighbour(card);
    const had = card.contains(document.activeElement);
    undo.push([event, before]);
    hf2vad.marks.set(event, before === wanted ? "" : wanted);
    if (card.hidden && had) focus(next?.isConnected ? next : visible()[0]);
  }

  function takeBack() {
    const last = undo.pop();
    if (!last) return;
    hf2vad.marks.set(last[0], last[1]);
    focus(visible().find((card) => card.dataset.key === last[0].key));
  }

  const name = (event) => `${event.name} at ${clock(event.start_s)}`;

  // Adds the buttons to an event's card.
  function on(card, event) {
    events.set(event.key, event);
    card.tabIndex = -1;
    const buttons = VERDICTS.map(([value, text, key]) =>
      el("button", { type: "button", "data-verdict": value, "aria-pressed": "false", "aria-label": `${text}: ${name(event)}`, "aria-keyshortcuts": key, onclick: () => mark(card, value) }, text));
    card.append(el("div", { class: "triage", role: "group", "aria-label": `Review ${name(event)}` }, ...buttons));
    hf2vad.similar.on(card, event, name(event));
    paint(card);
    return card;
  }

  const ACTIONS = {
    ...Object.fromEntries(VERDICTS.map(([value, , key]) => [key, (card) => { if (verdict(eventOf(card)) !== value) mark(card, value); }])),
    0: (card) => { if (verdict(eventOf(card))) mark(card, verdict(eventOf(card))); },
    u: takeBack,
    j: (card) => focus(visible()[visible().indexOf(card) + 1] ?? card),
    k: (card) => focus(visible()[visible().indexOf(card) - 1] ?? card),
  };

  // Only on a card: elsewhere single characters are in the way of some who speak to their computer.
  function pressed(event) {
    const card = event.target.closest("li.card");
    const act = ACTIONS[event.key];
    if (!card || !act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act(card);
  }

  function save() {
    const text = JSON.stringify({ "hf2vad.marks": 1, marks: hf2vad.marks.all() }, null, 2) + "\n";
    const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    el("a", { href: url, download: "marks.json" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }

  function bar() {
    const choice = el("select", { id: "triage-show", onchange: () => { shown = choice.value; refreshes.forEach((refresh) => refresh()); repaint(); } },
      ...SHOWN.map(([value, text]) => el("option", { value }, text)));
    const help = "On a card: 1 reviewed, 2 interesting, 3 normal, 0 none of them; j and k go on and back, u takes back.";
    return el(
      "div",
      { class: "triage-bar", role: "group", "aria-label": "Review" },
      el("p", { id: "triage-left", role: "status" }),
      el("label", {}, "Show ", choice),
      el("button", { type: "button", id: "triage-start", onclick: () => focus(visible()[0]) }, "Review by keys"),
      el("button", { type: "button", id: "triage-undo", disabled: true, onclick: takeBack }, "Take back"),
      hf2vad.server ? "" : el("button", { type: "button", id: "triage-save", onclick: save }, "Save marks"),
      el("p", { class: "soft", id: "triage-state", role: "status" }),
      el("p", { class: "soft triage-help" }, help),
      el("p", { id: "triage-done", hidden: true }, "Nothing here is left to show."),
    );
  }

  // All events of a page, of which cards may show a part.
  function know(all) {
    all.forEach((event) => events.set(event.key, event));
    say();
  }

  // The overview shows few events: the others are counted once it is there.
  async function countAll() {
    const summary = await hf2vad.load("summary");
    for (let i = 0; i < Math.min(BACKGROUND, summary.event_files); i += 1) know(await hf2vad.load(`events/${i}`));
  }

  document.querySelector("ol.cards")?.before(bar());
  document.addEventListener("keydown", pressed);
  hf2vad.marks.listen(repaint);
  say();
  if (byId("top")) hf2vad.shown(countAll());
  return { on, know, shows, refreshed: (refresh) => refreshes.push(refresh) };
})();
