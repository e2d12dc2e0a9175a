"use strict";
// The filter of events by a region, drawn over the picture of one of them.
hf2vad.regionFilter = (() => {
  const { byId } = hf2vad.dom;

  // `field`: the form's field that holds the region as text; `changed()`: to be called when it does.
  function on(field, changed) {
    const place = byId("region");
    let under = "";
    let layer = null;

    function drawn() {
      const points = layer.points();
      const now = points.length > 2 ? hf2vad.region.text(points) : "";
      if (field.value === now) return;
      field.value = now;
      changed();
    }

    // Draws over the picture of `event`, unless it is there.
    function over(event) {
      byId("region-used").textContent = field.value ? "(in use)" : "";
      if (!place.open || !event || event.key === under) return;
      const points = layer ? layer.points() : hf2vad.region.parse(field.value);
      under = event.key;
      layer = hf2vad.region.layer(event.size, "region-help", drawn);
      const picture = hf2vad.picture(event);
      picture.append(layer.element);
      byId("region-picture").replaceChildren(picture, layer.said);
      layer.set(points);
    }

    function set(points) {
      if (layer) layer.set(points);
      else field.value = hf2vad.region.text(points);
    }

    byId("region-keys").addEventListener("click", () => {
      if (!layer) changed();  // opened a moment ago: its event is yet to come
      layer?.element.focus();
    });
    byId("region-undo").addEventListener("click", () => layer?.undo());
    byId("region-clear").addEventListener("click", () => { set([]); changed(); });
    place.addEventListener("toggle", changed);
    return { over, set };
  }

  // The test of events for a field's text.
  function test(text) {
    const points = hf2vad.region.parse(text);
    if (!points.length) return () => true;
    return (event) => {
      const foot = hf2vad.region.foot(event);
      return foot !== null && hf2vad.region.holds(points, foot);
    };
  }

  return { on, test };
})();
