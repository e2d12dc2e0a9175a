"use strict";
// Keys of the video page. They can be switched off: single letters are in the way of some who speak to their computer.
hf2vad.keys = (() => {
  const { byId } = hf2vad.dom;
  const NAME = "hf2vad.keys";

  // A page on disk may have no storage.
  function remembered() {
    try { return localStorage.getItem(NAME) !== "off"; } catch { return true; }
  }
  function remember(on) {
    try { localStorage.setItem(NAME, on ? "on" : "off"); } catch { /* it is asked again */ }
  }

  function listen({ toggle, step, frame, next, previous }) {
    const box = byId("shortcuts");
    box.checked = remembered();
    box.addEventListener("change", () => remember(box.checked));
    const actions = {
      " ": () => toggle(),
      ArrowLeft: (event) => (event.shiftKey ? frame(-1) : step(-1)),
      ArrowRight: (event) => (event.shiftKey ? frame(1) : step(1)),
      n: () => next(),
      p: () => previous(),
    };
    // Before the player's own keys, which do other things in every browser.
    document.addEventListener("keydown", (event) => {
      const act = actions[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("[data-own-keys]")) return;
      const slider = event.key.startsWith("Arrow") && event.target.closest("[role=slider]");
      if (!box.checked && !slider) return;
      if (event.target.closest("input:not([type=checkbox]), select, textarea")) return;
      if (event.key === " " && event.target.closest("a, button, summary, input")) return;
      event.preventDefault();
      event.stopPropagation();
      act(event);
    }, true);
  }

  return { listen };
})();
