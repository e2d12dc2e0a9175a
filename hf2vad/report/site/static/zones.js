"use strict";
// Zones of cameras: kept by the review server or, without one, by this browser. Points are fractions of the picture.
hf2vad.zones = (() => {
  const NAME = `hf2vad.zones.${location.pathname.replace(/[^/]*$/, "")}`;
  const waiting = [];
  let pattern = "";
  let kept = hf2vad.server?.zones ?? { "hf2vad.zones": 1, pattern, cameras: {} };
  let shown = kept.cameras;
  const sync = hf2vad.sync("zones", {
    pending: () => waiting[0],
    accepted: (_, now) => {
      kept = now;
      waiting.shift();
    },
    refused: () => waiting.shift(),
    received: (now) => { kept = now; },
  });
  sync.listen(() => { shown = waiting.reduce(applied, kept.cameras); });

  const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

  function applied(cameras, { camera, add, remove }) {
    const left = (cameras[camera] ?? []).filter((zone) => ![...add, ...remove].some((other) => same(zone, other)));
    const { [camera]: _, ...others } = cameras;
    const now = [...left, ...add];
    return now.length ? { ...others, [camera]: now } : others;
  }

  // Adds zones to a camera and removes others.
  function change(camera, { add = [], remove = [] }) {
    const one = { "hf2vad.zones": 1, pattern, camera, add, remove };
    if (hf2vad.server) {
      waiting.push(one);
      sync.save();
      return;
    }
    kept = { "hf2vad.zones": 1, pattern, cameras: applied(kept.cameras, one) };
    try {
      localStorage.setItem(NAME, JSON.stringify(kept));
      sync.changed("Kept in this browser: save the zones as a file for scoring");
    } catch {
      sync.changed("This browser keeps nothing for such pages: save the zones before you leave");
    }
  }

  // To be called once, by the page that shows zones; `named`: the pattern by which the site names cameras.
  function follow(named, listener) {
    pattern = named;
    sync.listen(listener);
    if (hf2vad.server) {
      sync.follow();
      return;
    }
    try {
      const read = JSON.parse(localStorage.getItem(NAME));
      if (read?.pattern === pattern) kept = read;
    } catch { /* a page on disk may have no storage */ }
    sync.changed();
  }

  function save() {
    const text = JSON.stringify({ ...kept, pattern }, null, 2) + "\n";
    const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    hf2vad.dom.el("a", { href: url, download: "zones.json" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }

  return { change, follow, save, of: (camera) => shown[camera] ?? [], state: sync.state };
})();
