"use strict";
// A region of the picture, drawn with the pointer or by keys. Points are fractions of the picture's width and height.
hf2vad.region = (() => {
  const { el, svg } = hf2vad.dom;
  const { many } = hf2vad.text;
  const STEP = 0.02;
  const FINE = 0.0025;
  const EDGE = 0.01;
  const REACH = 10;  // pixels of the screen around a corner in which the pointer takes it

  // Whether a point lies inside: where edges cross, the inside alternates. The same as hf2vad/archive/zones.py.
  function holds(points, [x, y]) {
    let inside = false;
    points.forEach(([x1, y1], i) => {
      const [x2, y2] = points[(i + 1) % points.length];
      if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) inside = !inside;
    });
    return inside;
  }

  // Where an event's object stands: the middle of the lowest row of its box, as zones take it.
  function foot({ box, size }) {
    if (!box || !size) return null;
    const [width, height] = size;
    const within = (value, most) => Math.min(Math.max(value, 0.5), most - 0.5) / most;
    return [within((box[0] + box[2]) / 2, width), within(box[3] - 0.5, height)];
  }

  const text = (points) => points.map((point) => point.join(",")).join(" ");

  // The points of a text; none where it is no region.
  function parse(given) {
    const points = given.split(" ").map((point) => point.split(",").map(Number));
    const right = points.length >= 3 && points.every((point) => point.length === 2 && point.every((value) => value >= 0 && value <= 1));
    return right ? points : [];
  }

  const rounded = (value) => Math.round(Math.min(1, Math.max(0, value)) * 10000) / 10000;
  const percent = (value) => `${Math.round(value * 1000) / 10} %`;

  // A layer over a picture of `size`, in an element of its own that is positioned; `drawn()` is called when the points
  // change. `help`: id of the text that explains the keys.
  function layer(size, help, drawn) {
    const [width, height] = size;
    const radius = Math.max(width, height) / 120;
    const others = svg("g", {});
    const own = svg("g", {});
    const element = svg("svg", {
      class: "region", viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "application",
      "aria-label": "Picture to draw on", "aria-describedby": help, "data-own-keys": true,
    }, others, own);
    const said = el("p", { class: "soft", role: "status" });
    let points = [];
    let cursor = [0.5, 0.5];
    let keyed = false;
    let taken = -1;  // the corner that is moved

    const corners = (list) => list.map(([x, y]) => `${x * width},${y * height}`).join(" ");

    function paint() {
      const [x, y] = [cursor[0] * width, cursor[1] * height];
      own.replaceChildren(
        svg(points.length > 2 ? "polygon" : "polyline", { class: "drawn", points: corners(points) }),
        ...points.map((point, i) => svg("circle", { class: i === taken ? "taken" : "", cx: point[0] * width, cy: point[1] * height, r: radius })),
        ...(keyed ? [svg("path", { class: "cursor", d: `M${x - 3 * radius} ${y}h${6 * radius}M${x} ${y - 3 * radius}v${6 * radius}` })] : []),
      );
    }

    function tell(what) {
      said.textContent = `${what}${many(points.length, "corner")}; cursor ${percent(cursor[0])} from the left, ${percent(cursor[1])} from the top`;
    }

    function set(list, what = "") {
      points = list;
      taken = -1;
      paint();
      tell(what);
      drawn();
    }

    const add = () => set([...points, cursor], "Corner set: ");
    const letGo = () => set(points, "Corner moved: ");
    const undo = () => set(points.filter((_, i) => i !== (taken < 0 ? points.length - 1 : taken)), "Corner removed: ");

    // The corner nearest to a place: its index, or -1 without corners, and how far it is away, in pixels of the picture.
    function nearest([x, y]) {
      const far = points.map((point) => Math.hypot((point[0] - x) * width, (point[1] - y) * height));
      const away = Math.min(...far);
      return { index: far.indexOf(away), away };
    }

    function take(index) {
      taken = index;
      cursor = points[index];
      paint();
      tell(`Corner ${index + 1} taken: `);
    }

    function bring(place) {
      cursor = place;
      if (taken >= 0) points = points.map((point, i) => (i === taken ? place : point));
      paint();
    }

    function move(x, y) {
      keyed = true;
      bring([rounded(cursor[0] + x), rounded(cursor[1] + y)]);
      tell("");
    }

    function takeOrLetGo() {
      keyed = true;
      if (taken >= 0) letGo();
      else if (points.length) take(nearest(cursor).index);
    }

    const KEYS = {
      ArrowLeft: (step) => move(-step, 0),
      ArrowRight: (step) => move(step, 0),
      ArrowUp: (step) => move(0, -step),
      ArrowDown: (step) => move(0, step),
      Enter: () => (taken < 0 ? add() : letGo()),
      " ": takeOrLetGo,
      Backspace: undo,
    };

    element.addEventListener("keydown", (event) => {
      const act = KEYS[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act(event.shiftKey ? FINE : STEP);
    });
    // The very edge is hard to hit, and what is next to it is meant to be on it.
    const snapped = (value) => (value < EDGE ? 0 : value > 1 - EDGE ? 1 : rounded(value));
    function under(event) {
      const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(element.getScreenCTM().inverse());
      return [snapped(place.x / width), snapped(place.y / height)];
    }

    let dragged = false;
    element.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      keyed = false;
      const place = under(event);
      const { index, away } = nearest(place);
      if (away * element.getScreenCTM().a <= REACH) {
        dragged = true;
        element.setPointerCapture(event.pointerId);
        take(index);
        return;
      }
      cursor = place;
      add();
    });
    element.addEventListener("pointermove", (event) => { if (dragged) bring(under(event)); });
    for (const end of ["pointerup", "pointercancel"]) {
      element.addEventListener(end, () => {
        if (dragged) letGo();
        dragged = false;
      });
    }
    element.addEventListener("focus", () => { keyed = element.matches(":focus-visible"); paint(); });
    element.addEventListener("blur", () => {
      keyed = false;
      if (taken >= 0) letGo();
      else paint();
    });

    // `zones`: what is drawn already, each with its number.
    function show(zones) {
      others.replaceChildren(...zones.flatMap(({ kind, points: list }, i) => [
        svg("polygon", { class: kind, points: corners(list) }),
        svg("text", { x: list[0][0] * width + radius, y: list[0][1] * height + 3 * radius, "font-size": 3 * radius }, String(i + 1)),
      ]));
    }

    return { element, said, show, set, undo, points: () => points };
  }

  return { holds, foot, text, parse, layer };
})();
