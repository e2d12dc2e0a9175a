"use strict";
(() => {
  const { byId, el, table } = hf2vad.dom;
  const { clock, count, length, many, momentUrl, number } = hf2vad.text;
  const UNITS = { undecodable: "pictures", black: "mean grey level", blinded: "mean grey level", frozen: "s", moved: "pixels", gap: "s late", rate: "frames/s" };

  function figures(summary, overview) {
    const unhealthy = overview.health.kinds.reduce((sum, kind) => sum + kind.seconds, 0);
    const shown = [
      ["Videos", count(summary.videos)],
      ["Footage", length(summary.seconds)],
      ["Events", count(summary.events)],
      ["Failures", count(overview.failures.count)],
      ["Unhealthy footage", length(unhealthy)],
    ];
    byId("figures").append(...shown.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
  }

  function health(found) {
    const place = byId("health");
    if (!found.kinds.length) {
      place.append(el("p", {}, "Nothing was found wrong with the footage."));
      return;
    }
    const kinds = found.kinds.map((kind) => [kind.kind, count(kind.stretches), length(kind.seconds)]);
    const rows = found.rows.map((row) => [
      el("a", { href: momentUrl(row.video, row.start_s) }, row.name),
      row.kind,
      clock(row.start_s),
      length(row.stop_s - row.start_s),
      row.value === null ? "–" : `${number(row.value, 1)} ${UNITS[row.kind] || ""}`,
    ]);
    const all = found.kinds.reduce((sum, kind) => sum + kind.stretches, 0);
    place.append(
      table("Unhealthy footage by kind", ["Kind", "Stretches", "Together"], kinds),
      el("details", {}, el("summary", {}, rows.length < all ? `The ${rows.length} longest stretches of ${count(all)}` : many(all, "stretch", "stretches")),
        el("div", { class: "wide", role: "region", "aria-label": "Stretches of unhealthy footage", tabindex: 0 },
          table("Stretches of unhealthy footage", ["Video", "Kind", "From", "Length", "Value"], rows))),
    );
  }

  function failures(found) {
    const place = byId("failures");
    if (!found.count) {
      place.append(el("p", {}, "Every video was read."));
      return;
    }
    const rows = found.rows.map((row) => [row.video, row.reason]);
    if (found.count > rows.length) place.append(el("p", {}, `The first ${rows.length} of ${count(found.count)}.`));
    place.append(
      el("div", { class: "wide", role: "region", "aria-label": "Failures", tabindex: 0 }, table("Videos that could not be scored, or only in part", ["Video", "Why"], rows)),
    );
  }

  async function show() {
    const [summary, overview] = await Promise.all([hf2vad.load("summary"), hf2vad.load("overview")]);
    hf2vad.bars.use(summary);
    figures(summary, overview);
    hf2vad.heat.show(overview.what, summary.columns, overview.rows);
    byId("bars-key").textContent = overview.top.length ? hf2vad.bars.key() : "";
    byId("top").append(...overview.top.map((event) => hf2vad.card(event)));
    hf2vad.triage.know(overview.top);
    byId("top-none").hidden = overview.top.length > 0;
    health(overview.health);
    failures(overview.failures);
    document.body.dataset.ready = "yes";
  }

  hf2vad.shown(show());
})();
