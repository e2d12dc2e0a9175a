"use strict";
// The parts of a score as bars on one scale, the same on every card of the site.
hf2vad.bars = (() => {
  const { el, svg } = hf2vad.dom;
  const WIDTH = 100;
  const KNEE = 65;
  let scale = { supported: 0, largest: 1 };

  // Up to what the footage learnt from can tell, a surprise has KNEE of the WIDTH; what is extrapolated shares the rest.
  function length(strength) {
    const { supported, largest } = scale;
    const size = Math.abs(strength);
    if (!supported || largest <= supported) return (WIDTH * Math.min(size, largest)) / largest;
    if (size <= supported) return (KNEE * size) / supported;
    return KNEE + ((WIDTH - KNEE) * Math.min(1, (size - supported) / (largest - supported)));
  }

  function bar(strength) {
    const limited = scale.supported && scale.largest > scale.supported;
    const end = length(strength);
    return svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} 8`, "aria-hidden": "true", preserveAspectRatio: "none" },
      svg("rect", { width: WIDTH, height: 8, class: "rail" }),
      svg("rect", { width: Math.min(end, limited ? KNEE : WIDTH).toFixed(1), height: 8, class: strength < 0 ? "less" : "more" }),
      limited && end > KNEE ? svg("rect", { x: KNEE, width: (end - KNEE).toFixed(1), height: 8, class: "beyond" }) : "",
      limited ? svg("rect", { x: KNEE, width: 1, height: 8, class: "knee" }) : "",
    );
  }

  function list(event) {
    if (!event.bars.length) return "";
    const rows = event.bars.flatMap(([name, strength, text]) => [
      el("dt", {}, hf2vad.features[name] || name),
      el("dd", {}, el("span", {}, text), bar(strength)),
    ]);
    return el("dl", { class: "parts" }, ...rows);
  }

  // What the bars mean, once a page.
  function key() {
    if (!scale.supported) return "Bars: how far each part lies above normal footage, in standard deviations (σ); one scale for all events.";
    return "Bars: how rare each part is among the objects learnt; one scale for all events. Beyond the mark the footage learnt from cannot tell: it is extrapolated, and drawn pale.";
  }

  return { list, key, use: (summary) => { scale = summary.bars; } };
})();
