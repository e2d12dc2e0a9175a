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
    let changing = null;  // the camera's name and the zone that is drawn anew
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
        el("button", { type: "button", "aria-label": `Change: ${title}`, onclick: () => begin(name, zone) }, "Change"), " ",
        el("button", { type: "button", "aria-label": `Remove: ${title}`, onclick: remove }, "Remove"));
    }

    const isChanged = ([name, zone]) => JSON.stringify([name, zone]) === JSON.stringify(changing);

    // Draw a zone anew: its corners are those that are drawn.
    function begin(name, zone) {
      changing = [name, zone];
      [kind.value, camera.value] = [zone.kind, name];
      layer.set(zone.points, "Zone to change: ");
      changed();
      layer.element.focus();
    }

    function end(what) {
      changing = null;
      layer.set([], what);
      changed();
    }

    function keep() {
      const zone = { kind: kind.value, points: layer.points() };
      const [name, before] = changing ?? [camera.value, null];
      if (!before) hf2vad.zones.change(camera.value, { add: [zone] });
      else if (name !== camera.value) {
        hf2vad.zones.change(camera.value, { add: [zone] });
        hf2vad.zones.change(name, { remove: [before] });
      } else if (JSON.stringify(zone) !== JSON.stringify(before)) hf2vad.zones.change(name, { add: [zone], remove: [before] });
      end(before ? "Zone changed: " : "Zone added: ");
      layer.element.focus();
    }

    function refresh() {
      const { length } = layer.points();
      byId("zone-add").textContent = changing ? "Change zone" : "Add zone";
      byId("zone-add").disabled = length < 3;
      byId("zone-undo").disabled = !length;
      byId("zone-clear").disabled = !length && !changing;
      byId("zone-state").textContent = hf2vad.zones.state();
    }

    function changed() {
      const zones = listed();
      if (JSON.stringify([zones, changing]) !== drawn) {  // or the focus in the list would be lost with every answer
        drawn = JSON.stringify([zones, changing]);
        layer.show(zones.map((item) => ({ ...item[1], ...(isChanged(item) ? { kind: "changing" } : {}) })));
        byId("zone-list").replaceChildren(...zones.map(line));
        byId("zone-none").hidden = zones.length > 0;
      }
      refresh();
    }

    byId("zone-add").addEventListener("click", keep);
    byId("zone-undo").addEventListener("click", layer.undo);
    byId("zone-clear").addEventListener("click", () => end(""));
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
