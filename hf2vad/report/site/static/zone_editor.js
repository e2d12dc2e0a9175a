"use strict";
// Drawing zones of a video's camera, over its player or, without one, over a picture of an event.
hf2vad.zoneEditor = (() => {
  const { byId, el, svg } = hf2vad.dom;
  const { many } = hf2vad.text;
  const EVERY_CAMERA = "*";
  const WORDS = { ignore: "Ignore", watch: "Watch alone" };

  // What is drawn on where there is no player.
  function still(page) {
    const [width, height] = page.size;
    const thumb = page.events.map((event) => event.files.thumb).find(Boolean);
    const picture = thumb
      ? el("img", { src: thumb, width, height, alt: "The camera's picture at an event" })
      : svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    return el("div", { class: thumb ? "picture" : "picture none" }, picture);
  }

  function show(page, summary) {
    const place = byId("zones");
    if (!page.size) return;
    place.hidden = false;
    const layer = hf2vad.region.layer(page.size, "zone-help", refresh);
    const kind = byId("zone-kind");
    const camera = byId("zone-camera");
    let drawn = "";
    camera.append(el("option", { value: page.camera }, page.camera), el("option", { value: EVERY_CAMERA }, "every camera"));
    const listed = () => [page.camera, EVERY_CAMERA].flatMap((name) => hf2vad.zones.of(name).map((zone) => [name, zone]));

    function line([name, zone], i) {
      const title = `Zone ${i + 1}`;
      const told = `${WORDS[zone.kind]}, ${many(zone.points.length, "corner")}${name === EVERY_CAMERA ? ", every camera" : ""} `;
      const asked = new URLSearchParams({ ...(name === EVERY_CAMERA ? {} : { camera: name }), region: hf2vad.region.text(zone.points) });
      const remove = () => {
        hf2vad.zones.change(name, { remove: [zone] });
        byId("zone-keys").focus();
      };
      return el("li", {}, told,
        el("a", { href: `events.html#${asked}`, "aria-label": `Events in it: ${title}` }, "Events in it"), " ",
        el("button", { type: "button", "aria-label": `Remove: ${title}`, onclick: remove }, "Remove"));
    }

    function refresh() {
      const { length } = layer.points();
      byId("zone-add").disabled = length < 3;
      byId("zone-undo").disabled = byId("zone-clear").disabled = !length;
      byId("zone-state").textContent = hf2vad.zones.state();
    }

    function changed() {
      const zones = listed();
      if (JSON.stringify(zones) !== drawn) {  // or the focus in the list would be lost with every answer
        drawn = JSON.stringify(zones);
        layer.show(zones.map(([, zone]) => zone));
        byId("zone-list").replaceChildren(...zones.map(line));
        byId("zone-none").hidden = zones.length > 0;
      }
      refresh();
    }

    byId("zone-add").addEventListener("click", () => {
      hf2vad.zones.change(camera.value, { add: [{ kind: kind.value, points: layer.points() }] });
      layer.set([], "Zone added: ");
      layer.element.focus();
    });
    byId("zone-undo").addEventListener("click", layer.undo);
    byId("zone-clear").addEventListener("click", () => layer.set([]));
    // The element that opens tells of it later, and what is off takes no focus.
    const open = () => layer.element.classList.toggle("off", !place.open);
    byId("zone-keys").addEventListener("click", () => {
      open();
      layer.element.focus();
    });
    byId("zone-save").hidden = Boolean(hf2vad.server);
    byId("zone-save").addEventListener("click", hf2vad.zones.save);
    byId("zone-said").append(layer.said);

    const under = page.media.src ? byId("player") : still(page);
    if (!page.media.src) byId("zone-picture").append(under);
    under.append(layer.element);
    place.addEventListener("toggle", open);
    open();
    hf2vad.zones.follow(summary.pattern, changed);
    changed();
  }

  return { show };
})();
