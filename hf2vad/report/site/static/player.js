"use strict";
// Where the video is: a player's own clock, or, for a video that is not part of the site, one that only stands.
hf2vad.player = (() => {
  const { el } = hf2vad.dom;
  // Seconds that a player is put behind a frame's beginning: times are rounded, and a little before it, the frame before is shown.
  const BEHIND = 1e-3;

  // `heard(seconds)` is called when the position changes, `settled(seconds)` when it comes to rest.
  function still(last, heard, settled) {
    let now = 0;
    function seek(seconds) {
      now = Math.min(Math.max(0, seconds), last);
      heard(now);
      settled(now);
    }
    return { now: () => now, paused: () => true, toggle: () => {}, seek, step: (seconds) => seek(now + seconds) };
  }

  function playing(media, size, label, last, heard, settled) {
    const [width, height] = size || [16, 9];
    const video = el("video", { src: media.src, width, height, controls: true, preload: "metadata", playsinline: true, "aria-label": label });
    // Pauses of the video that the file does not have: the time of the frame after each, and the seconds that are gone.
    const cuts = media.cuts || [];
    function inFile(seconds) {
      const gone = cuts.map(([after, length]) => Math.min(length, Math.max(0, seconds - (after - length))));
      return gone.reduce((left, length) => left - length, seconds) + media.offset_s;
    }
    function inVideo(place) {
      return cuts.reduce((seconds, [after, length]) => (seconds >= after - length - 1e-3 ? seconds + length : seconds), place - media.offset_s);
    }
    // Before the file has answered, the position is the one that was asked for.
    let loaded = false;
    let wanted = 0;
    const place = () => (loaded ? Math.max(0, video.currentTime - BEHIND) : wanted);
    const put = () => { video.currentTime = wanted + BEHIND; };
    const now = () => inVideo(place());
    function show(next, seconds) {
      wanted = next;
      if (loaded) put();
      heard(seconds);
    }
    // In step with the pictures, not with the four events a second that a browser owes.
    function follow() {
      heard(now());
      if (!video.paused && !video.ended) requestAnimationFrame(follow);
    }
    video.addEventListener("play", follow);
    video.addEventListener("seeked", () => { heard(now()); if (video.paused) settled(now()); });
    video.addEventListener("pause", () => settled(now()));
    video.addEventListener("loadedmetadata", () => {
      loaded = true;
      put();
    });
    return {
      element: video,
      now,
      paused: () => video.paused,
      toggle: () => (video.paused ? video.play().catch(() => {}) : video.pause()),
      seek: (seconds) => {
        const moment = Math.min(Math.max(0, seconds), last);
        show(inFile(moment), moment);
      },
      // By the file's clock: a step from behind a pause would end inside it, where the file has nothing, and so go nowhere.
      step: (seconds) => {
        const next = Math.min(Math.max(0, media.offset_s, place() + seconds), inFile(last));
        show(next, inVideo(next));
      },
    };
  }

  return { still, playing };
})();
