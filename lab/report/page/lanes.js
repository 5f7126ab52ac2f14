// SPDX-License-Identifier: MIT OR Apache-2.0
// The diagram: one swim lane per exception level, steps to scale, what lies between calls cut out.
//
// A call has a place on a long axis in instructions ("u"): all calls that the filter lets through, one after another,
// with a gap of fixed size between them. A view is a part of that axis. Only what is in view is drawn, and steps that
// are narrower than a pixel are drawn as one.
const LANE = 52,
  HEAD = 30,
  FOOT = 26,
  STEP = { level: 0, ticks: 1, elsewhere: 2, layer: 3, time: 4, title: 5, client: 6, sequence: 7, kind: 8, fields: 9 };
const lanes = { shown: [], starts: [], total: 1, gap: 1, from: 0, to: 1, width: 900, root: null };
const gutter = () => (lanes.width < 600 ? 58 : 82);

// Puts calls on the axis.
function layOut(indexes) {
  lanes.shown = indexes;
  const lengths = indexes.map((index) => Math.max(1, data.calls[index].total)).sort((a, b) => a - b);
  lanes.gap = Math.max(4, Math.round((lengths[lengths.length >> 1] || 1) * 0.22));
  lanes.starts = [];
  let u = lanes.gap;
  for (const index of indexes) {
    lanes.starts.push(u);
    u += Math.max(1, data.calls[index].total) + lanes.gap;
  }
  lanes.total = Math.max(1, u);
}
function look(from, to) {
  const least = Math.min(24, lanes.total),
    length = Math.min(Math.max(to - from, least), lanes.total);
  const middle = (from + to) / 2;
  lanes.from = Math.min(Math.max(0, middle - length / 2), lanes.total - length);
  lanes.to = lanes.from + length;
  schedule();
}
function lookAtCall(index) {
  const place = lanes.shown.indexOf(index);
  if (place < 0) return;
  const start = lanes.starts[place],
    length = Math.max(1, data.calls[index].total),
    margin = Math.min(lanes.gap, length * 0.12 + 2);
  look(start - margin, start + length + margin);
}
const zoom = (factor, at) => {
  const center = at ?? (lanes.from + lanes.to) / 2;
  look(center - (center - lanes.from) * factor, center + (lanes.to - center) * factor);
};
const pan = (share) => {
  const by = (lanes.to - lanes.from) * share;
  look(lanes.from + by, lanes.to + by);
};
let scheduled = false;
function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    drawLanes();
  });
}

function drawLanes() {
  const root = lanes.root;
  if (!root) return;
  const width = lanes.width,
    left = gutter(),
    height = HEAD + LANE * 4 + FOOT;
  root.setAttribute("viewBox", `0 0 ${width} ${height}`);
  root.setAttribute("height", height);
  const x = (u) => left + ((u - lanes.from) / (lanes.to - lanes.from)) * (width - left);
  const parts = [];
  for (let level = 0; level < 4; level++) {
    const y = HEAD + level * LANE;
    parts.push(
      svg("rect", {
        x: left,
        y: y + 4,
        width: width - left,
        height: LANE - 8,
        class: "w" + level,
        opacity: 0.45,
        rx: 4,
      }),
    );
  }
  let nodes = 0;
  const first = Math.max(0, upper(lanes.starts, lanes.from) - 1);
  for (
    let place = first;
    place < lanes.shown.length && lanes.starts[place] - lanes.gap < lanes.to && nodes < 6000;
    place++
  ) {
    nodes += drawCall(parts, place, x, left, width);
  }
  // The lanes' names cover what slides under them.
  parts.push(svg("rect", { x: 0, y: 0, width: left, height, class: "gutter", fill: "var(--card)" }));
  LEVELS.forEach((name, level) => {
    const y = HEAD + level * LANE + LANE / 2;
    parts.push(svg("rect", { x: left - 5, y: y - LANE / 2 + 4, width: 5, height: LANE - 8, class: "f" + level }));
    parts.push(svg("text", { x: 10, y: y - 2, "font-weight": 620, class: "t" + level }, name));
    if (left > 60) parts.push(svg("text", { x: 10, y: y + 13, class: "soft" }, data.who[level]));
  });
  parts.push(...scale(left, width, HEAD + LANE * 4));
  root.replaceChildren(...parts);
}
// First index whose value is above.
function upper(values, above) {
  let low = 0,
    high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] > above) high = middle;
    else low = middle + 1;
  }
  return low;
}
function drawCall(parts, place, x, left, width) {
  const index = lanes.shown[place],
    call = data.calls[index],
    start = lanes.starts[place];
  const x0 = x(start),
    x1 = x(start + Math.max(1, call.total)),
    selected = state.call === index;
  const laneTop = (level) => HEAD + level * LANE + 11,
    laneHeight = LANE - 22;
  if (x1 < left || x0 > width) return 0;
  if (x1 - x0 < 3) {
    const tallest = Math.max(0, ...call.ticks.map((ticks, level) => (ticks ? level : 0)));
    parts.push(
      svg("rect", {
        x: x0,
        y: laneTop(0),
        width: Math.max(0.7, x1 - x0),
        height: LANE * tallest + laneHeight,
        class: { bad: "f3", fatal: "fatal" }[call.mood] || "f1",
        opacity: 0.6,
      }),
    );
    return 1;
  }
  let count = 0;
  const origin = call.vm === null ? 1 : 0,
    gap = Math.max(2, (x(lanes.gap) - x(0)) * 0.42);
  const from = Math.max(x0, left),
    room = Math.min(x1, width) - from;
  if (room > 46) {
    parts.push(
      svg(
        "text",
        { x: from + 3, y: 19, "font-weight": selected ? 650 : 450 },
        clip(`${call.caller} ${brief(call.title)}`, room),
      ),
    );
  }
  if (call.caller !== "EL3") {
    parts.push(
      svg("rect", { x: x0 - gap, y: laneTop(origin), width: gap, height: laneHeight, class: `stub f${origin}`, rx: 3 }),
    );
    if (call.mood !== "fatal" && call.answered)
      parts.push(
        svg("rect", { x: x1, y: laneTop(origin), width: gap, height: laneHeight, class: `stub f${origin}`, rx: 3 }),
      );
  }
  parts.push(svg("line", { x1: x0 - gap, x2: x0 - gap, y1: 26, y2: HEAD + LANE * 4, class: "cut" }));
  // Without steps: their sums.
  const steps = call.steps.length
    ? call.steps
    : call.ticks.map((ticks, level) => [level, ticks, 0, 0, 0, -1, 0, 0, 0]).filter((step) => step[1]);
  let u = start,
    level = origin,
    at = x0,
    merged = null;
  const flush = () => {
    if (!merged) return;
    parts.push(
      svg("rect", {
        x: merged.x,
        y: laneTop(merged.level),
        width: Math.max(0.6, merged.end - merged.x),
        height: laneHeight,
        class: "seg f" + merged.level,
        "data-call": index,
        "data-step": merged.step,
      }),
    );
    merged = null;
    count++;
  };
  steps.forEach((step, n) => {
    const next = u + step[STEP.ticks],
      xa = x(u),
      xb = x(next),
      lane = step[STEP.level];
    u = next;
    if (xb < left - 2 || xa > width + 2) {
      flush();
      level = lane;
      at = xa;
      return;
    }
    if (lane >= 0 && lane !== level && xb - xa >= 0) {
      flush();
      const [high, low] = lane > level ? [level, lane] : [lane, level];
      parts.push(
        svg("line", {
          x1: xa,
          x2: xa,
          y1: laneTop(high) + laneHeight / 2,
          y2: laneTop(low) + laneHeight / 2,
          class: "cross",
        }),
      );
    }
    level = lane;
    at = xb;
    if (lane < 0) return;
    if (xb - xa < 1.4) {
      if (merged && merged.level === lane) merged.end = xb;
      else {
        flush();
        merged = { level: lane, x: xa, end: xb, step: n };
      }
    } else {
      flush();
      const chosen = selected && state.step === n;
      parts.push(
        svg(
          "rect",
          {
            x: xa,
            y: laneTop(lane),
            width: Math.max(0.6, xb - xa - 0.7),
            height: laneHeight,
            rx: Math.min(3, (xb - xa) / 3),
            class: `seg f${lane}${chosen ? " on" : ""}`,
            "data-call": index,
            "data-step": n,
          },
          svg("title", {}, `${text(step[STEP.title]) ?? ""} · ${number(step[STEP.ticks])} ${unit}`),
        ),
      );
      const inner = Math.min(xb, width) - Math.max(xa, left);
      if (inner > 34) {
        const words = step[STEP.title] >= 0 ? brief(text(step[STEP.title])) : "";
        const label =
          inner > 130 ? clip(words, inner - 52) + "  " + number(step[STEP.ticks]) : number(step[STEP.ticks]);
        parts.push(
          svg("text", { x: Math.max(xa, left) + 6, y: laneTop(lane) + laneHeight / 2 + 4, class: "inside" }, label),
        );
      }
      count++;
    }
    if (step[STEP.kind] === 1) {
      parts.push(
        svg("circle", { cx: xa, cy: laneTop(lane) + laneHeight / 2, r: 6, class: "refused" }),
        svg("path", { d: `M${xa - 3},${laneTop(lane) + laneHeight / 2}h6`, class: "link dirty" }),
      );
    }
  });
  flush();
  if (call.answered && level !== origin && level >= 0) {
    parts.push(
      svg("line", {
        x1: x1,
        x2: x1,
        y1: laneTop(Math.min(level, origin)) + laneHeight / 2,
        y2: laneTop(Math.max(level, origin)) + laneHeight / 2,
        class: "cross",
      }),
    );
  }
  if (call.mood === "fatal") {
    const y = laneTop(Math.max(level, 0)) + laneHeight / 2,
      r = 7;
    parts.push(
      svg("path", { d: `M${at + 6},${y - r}l${2 * r},${2 * r}m0,${-2 * r}l${-2 * r},${2 * r}`, class: "link dirty" }),
    );
    if (width - at > 90) parts.push(svg("text", { x: at + 28, y: y + 4, class: "bad", "font-weight": 650 }, "panic"));
  }
  return count;
}
// A ruler: instructions at a round distance.
function scale(left, width, y) {
  const perPixel = (lanes.to - lanes.from) / (width - left),
    rough = perPixel * 110;
  const power = 10 ** Math.floor(Math.log10(Math.max(1, rough)));
  const size = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) || power * 10;
  const length = size / perPixel,
    x = width - length - 14;
  return [
    svg("path", { d: `M${x},${y + 6}v6h${length}v-6`, class: "link" }),
    svg("text", { x: x - 8, y: y + 15, class: "soft", "text-anchor": "end" }, `${number(size)} ${unit}`),
  ];
}

// Wheel, drag, pinch and keys.
function listenToLanes(root) {
  const at = (clientX) => {
    const box = root.getBoundingClientRect(),
      left = gutter();
    const px = ((clientX - box.left) / box.width) * lanes.width;
    return lanes.from + (Math.max(0, px - left) / (lanes.width - left)) * (lanes.to - lanes.from);
  };
  root.addEventListener(
    "wheel",
    (event) => {
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        zoom(Math.exp(event.deltaY * 0.006), at(event.clientX));
      } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        event.preventDefault();
        pan(event.deltaX / lanes.width);
      }
    },
    { passive: false },
  );
  const pointers = new Map();
  let moved = 0,
    spread = 0;
  root.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, event.clientX);
    if (pointers.size === 1) moved = 0;
    spread = 0;
  });
  root.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) return;
    const before = pointers.get(event.pointerId);
    pointers.set(event.pointerId, event.clientX);
    if (pointers.size === 1) {
      const by = event.clientX - before;
      moved += Math.abs(by);
      if (moved > 4) {
        if (!root.hasPointerCapture(event.pointerId)) root.setPointerCapture(event.pointerId);
        pan(-by / root.getBoundingClientRect().width);
      }
    } else {
      const [a, b] = [...pointers.values()],
        now = Math.max(20, Math.abs(a - b));
      moved = 99;
      if (spread) zoom(spread / now, at((a + b) / 2));
      spread = now;
    }
  });
  const lift = (event) => {
    pointers.delete(event.pointerId);
    spread = 0;
  };
  for (const name of ["pointerup", "pointercancel", "pointerleave"]) root.addEventListener(name, lift);
  root.addEventListener("click", (event) => {
    const hit = event.target.closest("[data-call]");
    if (hit && moved < 5)
      select(
        Number(hit.dataset.call),
        Number(hit.dataset.step),
        Number(hit.dataset.call) !== state.call &&
          lanes.to - lanes.from > 4 * data.calls[Number(hit.dataset.call)].total,
      );
  });
  root.addEventListener("keydown", (event) => {
    const actions = {
      ArrowLeft: () => pan(-0.2),
      ArrowRight: () => pan(0.2),
      "+": () => zoom(0.6),
      "=": () => zoom(0.6),
      "-": () => zoom(1.6),
      Home: () => look(0, lanes.total),
      ArrowUp: () => otherStep(-1),
      ArrowDown: () => otherStep(1),
      "[": () => neighbour(-1),
      "]": () => neighbour(1),
      Enter: () => lookAtCall(state.call),
    };
    if (actions[event.key]) {
      event.preventDefault();
      actions[event.key]();
    }
  });
}
