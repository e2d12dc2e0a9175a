"use strict";
// Zones of cameras: kept by the review server or, without one, by this browser. Points are fractions of the picture.
hf2vad.zones = (() => {
  const NAME = `hf2vad.zones.${location.pathname.replace(/[^/]*$/, "")}`;
  const POLL_MS = 5000;
  const RETRY_MS = 2000;
  const listeners = [];
  const waiting = [];
  let pattern = "";
  let kept = hf2vad.server?.zones ?? { "hf2vad.zones": 1, pattern, cameras: {} };
  let shown = kept.cameras;
  let tag = "";
  let state = "";
  let sending = false;

  const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

  function applied(cameras, { camera, add, remove }) {
    const left = (cameras[camera] ?? []).filter((zone) => ![...add, ...remove].some((other) => same(zone, other)));
    const { [camera]: _, ...others } = cameras;
    const now = [...left, ...add];
    return now.length ? { ...others, [camera]: now } : others;
  }

  function changed(now, cameras = kept.cameras) {
    state = now;
    shown = waiting.reduce(applied, cameras);
    listeners.forEach((listener) => listener());
  }

  // Adds zones to a camera and removes others.
  function change(camera, { add = [], remove = [] }) {
    const one = { "hf2vad.zones": 1, pattern, camera, add, remove };
    if (hf2vad.server) {
      waiting.push(one);
      changed("Saving …");
      send();
      return;
    }
    kept = { "hf2vad.zones": 1, pattern, cameras: applied(kept.cameras, one) };
    try {
      localStorage.setItem(NAME, JSON.stringify(kept));
      changed("Kept in this browser: save the zones as a file for scoring");
    } catch {
      changed("This browser keeps nothing for such pages: save the zones before you leave");
    }
  }

  // One change at a time, each until the server has it or says that it never will.
  async function send() {
    if (sending || !waiting.length) return;
    sending = true;
    try {
      const answer = await fetch("zones", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(waiting[0]) });
      if (answer.status === 400) {
        const why = await answer.text();
        waiting.shift();
        changed(`Not saved: ${why.trim()}`);
      } else if (answer.ok) {
        kept = await answer.json();
        waiting.shift();
        changed(waiting.length ? "Saving …" : "Saved");
      } else throw new Error(await answer.text());
    } catch (error) {
      changed(`Not saved yet, trying again: ${error.message}`);
      setTimeout(send, RETRY_MS);
      return;
    } finally {
      sending = false;
    }
    send();
  }

  // What others have drawn meanwhile.
  async function poll() {
    const answer = await fetch("zones", { headers: tag ? { "If-None-Match": tag } : {} });
    if (answer.status === 304) return;
    if (!answer.ok) throw new Error(await answer.text());
    tag = answer.headers.get("ETag") ?? "";
    kept = await answer.json();
    changed(state);
  }

  // To be called once, by the page that shows zones; `named`: the pattern by which the site names cameras.
  function follow(named, listener) {
    pattern = named;
    listeners.push(listener);
    if (hf2vad.server) {
      setInterval(() => poll().catch((error) => changed(`No answer from the server: ${error.message}`)), POLL_MS);
      window.addEventListener("beforeunload", (event) => { if (waiting.length) event.preventDefault(); });
      return;
    }
    try {
      const read = JSON.parse(localStorage.getItem(NAME));
      if (read?.pattern === pattern) kept = read;
    } catch { /* a page on disk may have no storage */ }
    changed(state);
  }

  function save() {
    const text = JSON.stringify({ ...kept, pattern }, null, 2) + "\n";
    const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    hf2vad.dom.el("a", { href: url, download: "zones.json" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }

  return { change, follow, save, of: (camera) => shown[camera] ?? [], state: () => state };
})();
