"use strict";
// The scored objects over the playing video, each with its score.
hf2vad.boxes = (() => {
  const { svg } = hf2vad.dom;
  const SHOWN_S = 0.5;

  // Index of the last time that is not after `seconds`; -1 before all of them.
  function lastBefore(times, seconds) {
    let [low, high] = [0, times.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] <= seconds + 0.001) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  // A layer for `video`, which lies in an element of its own shape; `follow(seconds)` draws what is there then.
  function layer({ size, times, rows }, threshold) {
    const letters = size[1] / 28;
    const drawn = svg("svg", { class: "boxes", viewBox: `0 0 ${size.join(" ")}`, "aria-hidden": "true" });
    let now = -1;

    function one([x1, y1, x2, y2, score]) {
      const high = threshold !== null && score >= threshold;
      return svg("g", { class: high ? "high" : null },
        svg("rect", { x: x1, y: y1, width: x2 - x1, height: y2 - y1 }),
        svg("text", { x: x1, y: Math.max(letters, y1 - letters / 4), "font-size": letters }, score.toFixed(1)));
    }

    function follow(seconds) {
      const index = lastBefore(times, seconds);
      const shown = index >= 0 && seconds - times[index] <= SHOWN_S ? index : -1;
      if (shown === now) return;
      now = shown;
      drawn.replaceChildren(...(shown < 0 ? [] : rows[shown].map(one)));
    }

    return { element: drawn, follow };
  }

  return { layer };
})();
