"use strict";
// Where the video is: a player's own clock, or, for a video that is not part of the site, one that only stands.
hf2vad.player = (() => {
  const { el } = hf2vad.dom;

  // `heard(seconds)` is called when the position changes, `settled(seconds)` when it comes to rest.
  function still(last, heard, settled) {
    let now = 0;
    return {
      now: () => now,
      paused: () => true,
      toggle: () => {},
      seek: (seconds) => {
        now = Math.min(Math.max(0, seconds), last);
        heard(now);
        settled(now);
      },
    };
  }

  function playing(media, label, last, heard, settled) {
    const video = el("video", { src: media.src, controls: true, preload: "metadata", playsinline: true, "aria-label": label });
    const now = () => video.currentTime - media.offset_s;
    let wanted = null;
    // In step with the pictures, not with the four events a second that a browser owes.
    function follow() {
      heard(now());
      if (!video.paused && !video.ended) requestAnimationFrame(follow);
    }
    video.addEventListener("play", follow);
    video.addEventListener("seeked", () => { heard(now()); if (video.paused) settled(now()); });
    video.addEventListener("pause", () => settled(now()));
    video.addEventListener("loadedmetadata", () => { if (wanted !== null) video.currentTime = wanted; });
    return {
      element: video,
      now,
      paused: () => video.paused,
      toggle: () => (video.paused ? video.play().catch(() => {}) : video.pause()),
      seek: (seconds) => {
        const place = Math.min(Math.max(0, seconds), last);
        wanted = place + media.offset_s;
        if (video.readyState >= 1) video.currentTime = wanted;
        heard(place);
      },
    };
  }

  return { still, playing };
})();
