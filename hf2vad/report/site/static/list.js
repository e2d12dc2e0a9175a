"use strict";
// All videos, a part of the list at a time.
hf2vad.list = (() => {
  const { byId, el } = hf2vad.dom;
  const { count, length, many, number } = hf2vad.text;
  const A_TIME = 200;
  const HEAD = ["Video", "Camera", "When", "Length", "Events", "Highest score", "Health"];

  function line(video) {
    const cells = [video.camera, video.when || "–", length(video.seconds), count(video.events), number(video.peak), Object.keys(video.health).join(", ") || "–"];
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, el("a", { href: `video.html#video=${video.key}` }, video.name)),
      ...cells.map((text) => el("td", {}, text)),
    );
  }

  async function show() {
    byId("list").hidden = false;
    const summary = await hf2vad.load("summary");
    const body = el("tbody");
    byId("videos").append(
      el("caption", { class: "unseen" }, "Videos"),
      el("thead", {}, el("tr", {}, ...HEAD.map((text) => el("th", { scope: "col" }, text)))),
      body,
    );
    let videos = [];
    let most = A_TIME;
    function refresh() {
      const text = byId("search").elements.text.value.toLowerCase();
      const found = videos.filter((video) => video.name.toLowerCase().includes(text) || video.camera.toLowerCase().includes(text));
      body.replaceChildren(...found.slice(0, most).map(line));
      byId("list-more").hidden = found.length <= most;
      byId("list-count").textContent = `${many(found.length, "video")} of ${count(summary.videos)}`;
    }
    byId("search").addEventListener("input", () => { most = A_TIME; refresh(); });
    byId("search").addEventListener("submit", (event) => event.preventDefault());
    byId("list-more").addEventListener("click", () => { most += A_TIME; refresh(); });
    for (let number = 0; number < summary.list_files; number += 1) {
      videos = videos.concat(await hf2vad.load(`lists/${number}`));
      if (number === 0) refresh();
    }
    refresh();
    document.body.dataset.ready = "yes";
  }

  return { show };
})();
