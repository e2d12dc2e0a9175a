"use strict";
// The list of events: filters that the address keeps, a part of the list at a time, and a choice to save.
(() => {
  const { byId, el } = hf2vad.dom;
  const { count, many, hash, setHash } = hf2vad.text;
  const A_TIME = 48;
  const FIELDS = ["camera", "text", "column", "since", "until", "kind", "score", "order", "region"];
  const form = byId("filter");
  const list = byId("events");
  const region = hf2vad.regionFilter.on(form.elements.region, filter);
  const chosen = new Map();
  let events = [];
  let matching = [];
  let most = A_TIME;
  let total = 0;

  function test(values) {
    const text = values.text.toLowerCase();
    const score = values.score === "" ? -Infinity : Number(values.score);
    const inRegion = hf2vad.regionFilter.test(values.region);
    return (event) =>
      (!values.camera || event.camera === values.camera || event.camera.toLowerCase().includes(values.camera.toLowerCase())) &&
      (!text || event.name.toLowerCase().includes(text)) &&
      (values.column === "" || event.column === Number(values.column)) &&
      (!values.since || event.when.slice(0, 10) >= values.since) &&
      (!values.until || (event.when && event.when.slice(0, 10) <= values.until)) &&
      (!values.kind || event.kind === values.kind) &&
      event.peak_score >= score &&
      inRegion(event);
  }

  // A camera that is named in full is that one alone.
  function exact(values) {
    return events.some((event) => event.camera === values.camera) ? (event) => event.camera === values.camera : () => true;
  }

  const ORDERS = {
    time: (a, b) => (a.when < b.when ? -1 : a.when > b.when ? 1 : a.name < b.name ? -1 : a.name > b.name ? 1 : a.start_s - b.start_s),
    length: (a, b) => b.end_s - b.start_s - (a.end_s - a.start_s),
  };

  const values = () => Object.fromEntries(FIELDS.map((name) => [name, form.elements[name].value]));

  function choose(event, on) {
    if (on) chosen.set(event.key, event);
    else chosen.delete(event.key);
    byId("chosen").textContent = chosen.size ? `${count(chosen.size)} chosen` : "None chosen";
    byId("save-csv").disabled = byId("save-json").disabled = !chosen.size;
  }

  // Cards that are there and still right stay as they are, with the focus in them.
  function refresh() {
    const now = values();
    matching = events.filter(test(now)).filter(now.camera ? exact(now) : () => true).filter(hf2vad.triage.shows);
    hf2vad.triage.know(events);
    region.over(byId("region").open ? events.filter(test({ ...now, region: "" })).find((event) => event.size) : null);
    if (ORDERS[now.order]) matching.sort(ORDERS[now.order]);
    const shown = matching.slice(0, most);
    const same = Math.min(list.children.length, shown.length);
    let kept = 0;
    while (kept < same && list.children[kept].dataset.key === shown[kept].key) kept += 1;
    while (list.children.length > kept) list.lastChild.remove();
    list.append(...shown.slice(kept).map((event) => hf2vad.card(event, { choose, chosen: chosen.has(event.key) })));
    byId("more").hidden = matching.length <= most;
    const of = events.length < total ? `${count(total)}, loading` : count(total);
    byId("count").textContent = `${many(matching.length, "event")} of ${of}`;
  }

  function filter() {
    most = A_TIME;
    setHash(values());
    refresh();
  }

  function fillIn() {
    const asked = hash();
    FIELDS.forEach((name) => { form.elements[name].value = asked[name] ?? ""; });
  }

  async function show() {
    const summary = await hf2vad.load("summary");
    total = summary.events_listed;
    hf2vad.bars.use(summary);
    byId("bars-key").textContent = hf2vad.bars.key();
    byId("cameras").append(...summary.cameras.map((camera) => el("option", { value: camera })));
    form.elements.column.append(...summary.columns.map((title, i) => el("option", { value: i }, title)));
    form.elements.kind.append(...summary.kinds.map((kind) => el("option", { value: kind }, kind)));
    for (const name of ["since", "until"]) form.elements[name].parentElement.hidden = !summary.dated;
    fillIn();
    for (let number = 0; number < summary.event_files; number += 1) {
      events = events.concat(await hf2vad.load(`events/${number}`));
      refresh();
      document.body.dataset.ready = "part";
    }
    refresh();
    document.body.dataset.ready = "yes";
  }

  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => { region.set([]); filter(); }));
  window.addEventListener("hashchange", () => {
    fillIn();
    region.set(hf2vad.region.parse(form.elements.region.value));
    most = A_TIME;
    refresh();
  });
  byId("more").addEventListener("click", () => {
    const first = list.children.length;
    most += A_TIME;
    refresh();
    list.children[first]?.querySelector("a").focus();
  });
  const redraw = () => { list.replaceChildren(); refresh(); };
  byId("choose-all").addEventListener("click", () => { matching.forEach((event) => choose(event, true)); redraw(); });
  byId("choose-none").addEventListener("click", () => { [...chosen.values()].forEach((event) => choose(event, false)); redraw(); });
  const picked = () => [...chosen.values()].sort((a, b) => b.peak_score - a.peak_score);
  byId("save-csv").addEventListener("click", () => hf2vad.save.csv(picked()));
  byId("save-json").addEventListener("click", () => hf2vad.save.json(picked()));
  hf2vad.triage.refreshed(refresh);
  hf2vad.shown(show());
})();
