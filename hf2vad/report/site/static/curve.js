"use strict";
// A video's score over time (uPlot): events, labels and unhealthy footage shaded, the player's position marked.
hf2vad.curve = (() => {
  const { byId, el } = hf2vad.dom;
  const { clock } = hf2vad.text;
  const HEIGHT = 190;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  function shade(plot, spans, name, share) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.fillStyle = colour(name);
    for (const [start, stop] of spans) {
      const left = Math.max(plot.valToPos(start, "x", true), bbox.left);
      const right = Math.min(plot.valToPos(stop, "x", true), bbox.left + bbox.width);
      const top = bbox.top + bbox.height * (1 - share);
      if (right >= bbox.left && left <= bbox.left + bbox.width) ctx.fillRect(left, top, Math.max(right - left, 2), bbox.height * share);
    }
    ctx.restore();
  }

  function line(plot, value) {
    const { ctx, bbox } = plot;
    const y = plot.valToPos(value, "y", true);
    if (y < bbox.top || y > bbox.top + bbox.height) return;
    ctx.save();
    ctx.strokeStyle = colour("event");
    ctx.setLineDash([6, 4]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.restore();
  }

  // The scale of the scores, which always has the threshold in it.
  function reach(low, high, thresholds) {
    const inside = [low, high, ...(thresholds ? thresholds.slice(0, 1) : [])].filter((value) => value !== null);
    const [least, most] = [Math.min(0, ...inside), Math.max(1, ...inside)];
    return [least, most + (most - least) * 0.08];
  }

  const axis = (more) => ({ stroke: () => colour("soft"), grid: { stroke: () => colour("line"), width: 1 }, ticks: { show: false }, ...more });

  // `go(seconds)` is called with the place of a click.
  function draw(place, page, go) {
    const spans = {
      event: page.events.map((event) => [event.start_s, event.end_s]),
      label: page.labels || [],
      health: page.health.map((row) => [row.start_s, row.stop_s]),
    };
    const options = {
      width: place.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false } },
      scales: { x: { time: false }, y: { range: (_, low, high) => reach(low, high, page.thresholds) } },
      axes: [
        axis({ size: 32, values: (_, ticks) => ticks.map((tick) => clock(tick).replace(/^0:/, "").replace(/\.0$/, "")) }),
        axis({ label: "score", labelSize: 18, size: 48 }),
      ],
      series: [{}, { stroke: () => colour("score"), width: 1.5, points: { show: false } }],
      hooks: {
        drawClear: [(plot) => {
          shade(plot, spans.health, "health-shade", 1);
          shade(plot, spans.event, "event-shade", 1);
          shade(plot, spans.label, "label", 0.06);
        }],
        draw: [(plot) => page.thresholds && line(plot, page.thresholds[0])],
      },
    };
    const plot = new uPlot(options, [page.times, page.scores], place);
    const marker = el("div", { class: "marker" });
    plot.over.append(marker);
    let down = 0;
    plot.over.addEventListener("mousedown", (event) => { down = event.clientX; });
    plot.over.addEventListener("click", (event) => {
      if (Math.abs(event.clientX - down) < 4) go(plot.posToVal(event.clientX - plot.over.getBoundingClientRect().left, "x"));
    });
    let at = 0;
    const mark = () => {
      const left = plot.valToPos(at, "x");
      marker.hidden = !(left >= 0 && left <= plot.over.clientWidth);
      marker.style.transform = `translateX(${left}px)`;
    };
    plot.hooks.setScale = [mark];
    new ResizeObserver(() => { plot.setSize({ width: place.clientWidth, height: HEIGHT }); mark(); }).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plot.redraw());
    return {
      // Moves the marker, and says to a screen reader where it is.
      follow(seconds) {
        at = seconds;
        mark();
        const index = uPlot ? Math.max(0, plot.valToIdx(seconds)) : 0;
        const score = page.scores[index];
        place.setAttribute("aria-valuenow", seconds.toFixed(1));
        place.setAttribute("aria-valuetext", `${clock(seconds)}, score ${score === null || score === undefined ? "none" : score.toFixed(2)}`);
      },
    };
  }

  function key(page) {
    const sample = (name, text) => el("span", { class: "sample" }, el("span", { class: `key-${name}`, "aria-hidden": "true" }), ` ${text}`);
    byId("key").append(
      "Higher is less usual. ",
      sample("event", "event"),
      page.thresholds ? sample("threshold", `threshold ${page.thresholds[0].toFixed(2)}`) : "",
      page.labels ? sample("label", "labelled as anomalous") : "",
      page.health.length ? sample("health", "unhealthy footage") : "",
    );
  }

  return { draw, key };
})();
