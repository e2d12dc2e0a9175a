"use strict";
// What other cameras saw at the moment that a video shows, by the times that paths tell.
hf2vad.meanwhile = (() => {
  const { byId, el } = hf2vad.dom;
  const { clock, count, momentUrl } = hf2vad.text;
  const MOST = 100;

  async function others(page, summary) {
    let videos = [];
    for (let number = 0; number < summary.list_files; number += 1) videos = videos.concat(await hf2vad.load(`lists/${number}`));
    return videos.filter((video) => video.start !== null && video.key !== page.key);
  }

  function line(video, at) {
    return el("li", {}, el("a", { href: momentUrl(video.key, at) }, video.camera), ` · ${video.name} at ${clock(at)}`);
  }

  // `now()`: seconds into the video.
  function show(page, summary, now) {
    const place = byId("meanwhile");
    if (page.start === null) return;
    place.hidden = false;
    place.addEventListener("toggle", async () => {
      if (!place.open) return;
      const moment = page.start + now();
      const when = new Date(moment * 1000).toISOString().slice(0, 19).replace("T", " ");
      const there = (await others(page, summary))
        .map((video) => [video, moment - video.start])
        .filter(([video, at]) => at >= video.from_s && at <= video.until_s)
        .sort(([a], [b]) => (a.camera < b.camera ? -1 : 1));
      const shown = there.slice(0, MOST).map(([video, at]) => line(video, at));
      const more = there.length > MOST ? el("li", {}, `and ${count(there.length - MOST)} more`) : "";
      byId("meanwhile-when").textContent = there.length ? `At ${when}:` : `No other camera has footage of ${when}.`;
      byId("meanwhile-list").replaceChildren(...shown, ...(more ? [more] : []));
    });
  }

  return { show };
})();
