"use strict";
// One video: player, curve and events in step. #video=<key>&t=<seconds> is a permalink to a moment.
(() => {
  const { byId, el } = hf2vad.dom;
  const { clock, hash, length, many, momentUrl, setHash } = hf2vad.text;
  const MOST_CARDS = 200;
  const asked = hash();

  function about(page) {
    document.title = `${page.name} · ${document.title}`;
    byId("name").textContent = page.name;
    const told = [`camera ${page.camera}`, page.when, scored(page), many(page.events.length, "event")];
    byId("about").textContent = told.filter(Boolean).join(" · ");
    const spans = (title, rows) =>
      el("details", {}, el("summary", {}, title), el("ul", {}, ...rows.map(([start, text]) => el("li", {}, el("a", { href: momentUrl(page.key, start) }, text)))));
    if (page.labels?.length) {
      byId("spans").append(spans("Labelled as anomalous", page.labels.map(([a, b]) => [a, `${clock(a)} to ${clock(b)}`])));
    }
    if (page.health.length) {
      byId("spans").append(spans("Unhealthy footage", page.health.map((row) => [row.start_s, `${row.kind}, ${clock(row.start_s)} to ${clock(row.stop_s)}`])));
    }
  }

  // What of the video was scored: "scored 15.0 s to 30.0 s of 30.0 s", or its length where all of it was.
  function scored(page) {
    if (!page.scored || (page.scored[0] <= page.step && page.length - page.scored[1] <= page.step)) return length(page.length);
    const [from, to] = page.scored.map(length);
    const unit = to.slice(to.indexOf(" "));
    return `scored ${from.endsWith(unit) ? from.slice(0, -unit.length) : from} to ${to} of ${length(page.length)}`;
  }

  // The player with a layer of boxes over it, once they are loaded.
  function withBoxes(page, player, place) {
    let layer = { follow() {} };
    place.append(player.element);
    if (page.boxes) {
      byId("boxes-switch").hidden = false;
      hf2vad.load(`boxes/${page.key}`).then((boxes) => {
        layer = hf2vad.boxes.layer(boxes, page.thresholds ? page.thresholds[0] : null);
        place.append(layer.element);
        const shown = () => layer.element.classList.toggle("off", !byId("boxes").checked);
        byId("boxes").addEventListener("change", shown);
        shown();
        layer.follow(player.now());
      }).catch(() => { byId("boxes-switch").hidden = true; });
    }
    return (seconds) => layer.follow(seconds);
  }

  function show(page, summary) {
    about(page);
    byId("video").hidden = false;
    const { events } = page;
    const last = page.times.length ? page.times[page.times.length - 1] : page.seconds;
    const place = byId("curve");
    place.setAttribute("aria-valuemax", last.toFixed(1));
    let curve = { follow() {} };
    let boxes = () => {};

    const high = new Set([...events].sort((a, b) => b.peak_score - a.peak_score).slice(0, MOST_CARDS));
    const carded = events.filter((event) => high.has(event));
    const cards = carded.map((event) => hf2vad.card(event, { go }));
    byId("events").append(...cards);
    hf2vad.triage.know(events);
    byId("about-events").hidden = carded.length > 0 && carded.length === events.length;
    if (carded.length) byId("about-events").textContent = `The ${carded.length} highest of ${events.length}; n and p reach all.`;

    function heard(seconds) {
      curve.follow(seconds);
      boxes(seconds);
      cards.forEach((card, i) => {
        const inside = seconds >= carded[i].start_s - 0.001 && seconds <= carded[i].end_s + 0.001;
        if (inside) card.setAttribute("aria-current", "true");
        else card.removeAttribute("aria-current");
      });
      byId("play").textContent = player && !player.paused() ? "Pause" : "Play";
    }
    function settled(seconds) {
      heard(seconds);
      byId("moment").href = momentUrl(page.key, seconds);
      byId("moment").textContent = `Link to ${clock(seconds)}`;
      setHash({ video: page.key, t: seconds.toFixed(2) });
    }
    let player = null;
    if (page.media.src) {
      player = hf2vad.player.playing(page.media, page.size, page.name, last, heard, settled);
      boxes = withBoxes(page, player, byId("player"));
      player.element.addEventListener("error", () => {
        byId("player").append(el("p", { class: "soft" }, `${page.media.src} cannot be played here.`));
      });
    } else {
      player = hf2vad.player.still(last, heard, settled);
      byId("player").append(el("p", { class: "soft none" }, page.media.why_not));
      byId("play").hidden = true;
    }

    function go(event) {
      player.seek(event.start_s);
      byId("now").textContent = `Event ${events.indexOf(event) + 1} of ${events.length}, ${clock(event.start_s)}${event.kind ? `, ${event.kind}` : ""}`;
    }
    const next = () => { const found = events.find((event) => event.start_s > player.now() + 0.05); if (found) go(found); };
    const previous = () => { const found = events.findLast((event) => event.start_s < player.now() - 0.05); if (found) go(found); };
    byId("play").addEventListener("click", () => player.toggle());
    byId("next").addEventListener("click", next);
    byId("previous").addEventListener("click", previous);
    byId("copy").addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(byId("moment").href);
        byId("now").textContent = "Copied";
      } catch {
        byId("now").textContent = byId("moment").href;
      }
    });
    hf2vad.keys.listen({
      toggle: () => player.toggle(),
      step: (sign) => player.step(sign),
      frame: (sign) => player.step(sign * page.step),
      next,
      previous,
    });
    window.addEventListener("hashchange", () => {
      const now = hash();
      if (now.video !== page.key) location.reload();
      else if (now.t !== undefined) player.seek(Number(now.t) || 0);
    });

    hf2vad.meanwhile.show(page, summary, () => player.now());
    hf2vad.zoneEditor.show(page, summary);
    hf2vad.curve.key(page);
    if (page.times.length) curve = hf2vad.curve.draw(place, page, (seconds) => player.seek(seconds));
    else place.hidden = true;
    byId("moment").href = momentUrl(page.key, 0);
    player.seek(Number(asked.t) || (page.times[0] ?? 0));
    document.body.dataset.ready = "yes";
  }

  if (/^[0-9a-f]{16}$/.test(asked.video || "")) {
    const data = [hf2vad.load("summary"), hf2vad.load(`videos/${asked.video}`)];
    hf2vad.shown(Promise.all(data).then(([summary, page]) => { hf2vad.bars.use(summary); show(page, summary); }));
  }
  else hf2vad.shown(hf2vad.list.show());
  if (!asked.video) window.addEventListener("hashchange", () => location.reload());
})();
