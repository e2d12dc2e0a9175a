"use strict";
// Marks on events: what was said of which, kept by the review server or, without one, by this browser.
hf2vad.marks = (() => {
  const PREFIX = "hf2vad.mark.";
  const byEvent = new Map();
  const byVideo = new Map();
  const waiting = new Map();
  const sync = hf2vad.sync("marks", {
    pending: () => (waiting.size ? { "hf2vad.marks": 1, marks: [...waiting.values()] } : null),
    accepted: ({ marks }) => marks.filter((mark) => waiting.get(mark.event) === mark).forEach((mark) => waiting.delete(mark.event)),
    received: ({ marks }) => [...marks, ...waiting.values()].forEach(put),
  });

  function put(mark) {
    byEvent.set(mark.event, mark);
    const others = (byVideo.get(mark.video_key) ?? []).filter((other) => other.event !== mark.event);
    byVideo.set(mark.video_key, [...others, mark]);
  }

  const frames = (one) => one.end_frame - one.start_frame + 1;
  // An event that is scored anew may begin some frames earlier or later: it is the same where half of it is.
  function same(mark, event) {
    const shared = Math.min(mark.end_frame, event.end_frame) - Math.max(mark.start_frame, event.start_frame) + 1;
    return 2 * shared >= Math.min(frames(mark), frames(event));
  }

  // reviewed, interesting, normal, or empty.
  function of(event) {
    const exact = byEvent.get(event.key);
    if (exact) return exact.verdict;
    return (byVideo.get(event.video) ?? []).find((mark) => mark.verdict && same(mark, event))?.verdict ?? "";
  }

  function set(event, verdict) {
    const mark = {
      event: event.key, video: event.name, video_key: event.video, fingerprint: event.fingerprint,
      start_frame: event.start_frame, end_frame: event.end_frame, start_s: event.start_s, end_s: event.end_s, verdict,
    };
    if (hf2vad.server) {
      put(mark);
      waiting.set(mark.event, mark);
      sync.save();
    } else {
      mark.marked_at = new Date().toISOString();
      put(mark);
      sync.changed(keep(mark) ? "Kept in this browser" : "This browser keeps nothing for such pages: save the marks before you leave");
    }
  }

  function keep(mark) {
    try {
      localStorage.setItem(PREFIX + mark.event, JSON.stringify(mark));
      return true;
    } catch {
      return false;
    }
  }

  function readBrowser() {
    try {
      for (let i = 0; i < localStorage.length; i += 1) {
        const name = localStorage.key(i);
        if (name.startsWith(PREFIX)) put(JSON.parse(localStorage.getItem(name)));
      }
    } catch { /* a page on disk may have no storage */ }
  }

  if (hf2vad.server) {
    hf2vad.server.marks.forEach(put);
    sync.follow();
  } else {
    readBrowser();
    window.addEventListener("storage", () => { readBrowser(); sync.changed(); });
  }

  return {
    of,
    set,
    listen: sync.listen,
    all: () => [...byEvent.values()].filter((mark) => mark.verdict),
    state: sync.state,
  };
})();
