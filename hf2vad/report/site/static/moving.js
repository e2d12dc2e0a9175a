"use strict";
// Whether cards play their two seconds: whoever asks the system for less motion gets still pictures, and a switch on the
// page decides otherwise.
hf2vad.moving = (() => {
  const NAME = "hf2vad.moving";
  const box = document.getElementById("moving");

  // A page on disk may have no storage.
  function remembered() {
    try { return localStorage.getItem(NAME); } catch { return null; }
  }
  const kept = remembered();
  box.checked = kept ? kept === "on" : !matchMedia("(prefers-reduced-motion: reduce)").matches;

  function apply(root) {
    for (const image of root.querySelectorAll("img[data-moving]")) image.src = box.checked ? image.dataset.moving : image.dataset.still;
    document.body.classList.toggle("moving", box.checked);
  }
  box.addEventListener("change", () => {
    apply(document);
    try { localStorage.setItem(NAME, box.checked ? "on" : "off"); } catch { /* it is asked again */ }
  });
  document.body.classList.toggle("moving", box.checked);

  return { on: () => box.checked };
})();
