// SPDX-License-Identifier: MIT OR Apache-2.0
// A panic: the path to it, and the free list that it is about.
function panics() {
  if (!data.panics.length) return null;
  return section(
    "panic",
    data.panics.length > 1 ? "Panics" : "The panic",
    "What led to it, the newest last, and the allocator's free list as the TEE found it.",
    data.panics.map(panicCard),
    data.lists.length
      ? [
          el("h3", { class: "lists-head" }, "The free list"),
          el("div", { class: "lists" }, data.lists.slice(-2).map(listCard)),
        ]
      : null,
  );
}
function panicCard(panic) {
  const last = panic.path.length - 1;
  const row = (index, n) => {
    const call = data.calls[index],
      fatal = n === last && call.mood === "fatal";
    const jump = el(
      "button",
      { type: "button", onclick: () => goTo(index, Math.max(0, call.steps.length - 1)) },
      call.title,
    );
    const steps = fatal
      ? call.steps
          .slice(-8)
          .filter((step) => step[STEP.kind] !== 3)
          .map((step) =>
            el(
              "p",
              {},
              chip(data.layers[step[STEP.layer]].name, data.layers[step[STEP.layer]].level),
              text(step[STEP.title]),
            ),
          )
      : null;
    return el(
      "li",
      { class: fatal ? "fatal" : null },
      el(
        "p",
        {},
        chip(call.caller, call.vm === null ? 1 : 0),
        jump,
        call.argument ? el("span", { class: "soft" }, " " + call.argument) : null,
        el("span", { class: moodClass(call.mood) }, "  " + call.outcome),
      ),
      steps,
    );
  };
  return el(
    "div",
    { class: "card pad panic" },
    el("p", { class: "words" }, (panic.said.length ? panic.said : [panic.text]).join("\n")),
    el(
      "p",
      { class: "note" },
      `${panic.layer} on CPU ${panic.cpu}, at ${when(panic.time)}. Its last words, from the console.`,
    ),
    el("ol", { class: "path" }, panic.path.map(row)),
  );
}
function listCard(list, n, all) {
  const clean = !list.verdict;
  return el(
    "figure",
    { class: "card pad", "data-list": clean ? "clean" : "dirty" },
    el(
      "h3",
      { class: clean ? "good" : "bad" },
      clean ? "✓ a list: every link leads back" : "✗ not a list",
      el("span", { class: "soft" }, `  pool ${data.lists.length - all.length + n + 1}, at ${when(list.time)}`),
    ),
    listPicture(list),
    list.verdict ? el("p", { class: "why" }, list.verdict) : null,
  );
}
// Elements below each other; forward links at the right, backward links at the left.
function listPicture(list) {
  const blocks = list.blocks.slice(0, 8),
    width = 460,
    box = { x: 92, width: 276, height: 84, gap: 44 };
  const missing = list.defects.filter((defect) => defect.back === null).map((defect) => defect.to);
  const strangers = [...new Set(missing)].filter((to) => !blocks.some((block) => block.address === to)).slice(0, 2);
  const count = blocks.length + strangers.length,
    height = count * (box.height + box.gap) - box.gap + 16;
  const top = (index) => 8 + index * (box.height + box.gap);
  const root = svg("svg", {
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    "aria-label": list.verdict || "A free list whose links lead back",
  });
  const wrong = (from, forward) => list.defects.some((defect) => defect.from === from && defect.forward === forward);
  const unreal = (index) => index > 0 && list.defects.some((defect) => defect.to === blocks[index].address);
  blocks.forEach((block, index) => {
    const y = top(index),
      bad = unreal(index);
    const lines = [
      [index ? `block ${index}` : "head, in the partition's data", "title"],
      [block.address, "mono"],
      [`flink  ${block.next}`, "mono", bad && !wrong(index, true)],
      [`blink  ${block.previous}`, "mono", bad],
    ];
    root.append(
      svg("rect", {
        x: box.x,
        y,
        width: box.width,
        height: box.height,
        rx: 8,
        class: index ? (bad ? "block lost" : "block") : "block head",
      }),
    );
    lines.forEach(([words, kind, red], line) =>
      root.append(
        svg(
          "text",
          {
            x: box.x + 14,
            y: y + 20 + line * 19,
            class: (kind === "mono" ? "mono " : "") + (red ? "bad" : ""),
            "font-weight": kind === "title" ? 650 : null,
          },
          line === 0 && bad
            ? "what stands there: no block"
            : line === 0 && index
              ? `${words}, ${bytes(Number(block.size))} free`
              : words,
        ),
      ),
    );
  });
  strangers.forEach((address, n) => {
    const y = top(blocks.length + n);
    root.append(
      svg("rect", { x: box.x, y, width: box.width, height: box.height, rx: 8, class: "block lost" }),
      svg("text", { x: box.x + 14, y: y + 24, class: "bad", "font-weight": 650 }, "no element of the list"),
      svg("text", { x: box.x + 14, y: y + 46, class: "mono" }, address),
    );
  });
  const place = (address) => {
    const index = blocks.findIndex((block) => block.address === address);
    if (index >= 0) return index;
    const n = strangers.indexOf(address);
    return n >= 0 ? blocks.length + n : -1;
  };
  blocks.forEach((block, index) => {
    if (unreal(index)) return;
    link(root, index, place(block.next), true, wrong(index, true));
    link(root, index, place(block.previous), false, wrong(index, false));
  });
  return root;
  function link(into, from, to, forward, dirty) {
    const side = forward ? box.x + box.width : box.x,
      out = forward ? 1 : -1,
      y0 = top(from) + (forward ? 54 : 73);
    const shape = "link" + (dirty ? " dirty" : ""),
      arrow = "arrow" + (dirty ? " dirty" : "");
    if (to < 0) {
      into.append(svg("path", { d: `M${side},${y0}h${24 * out}`, class: shape }));
      return;
    }
    const y1 = top(to) + (from === to ? 16 : 24),
      reach = 26 + 13 * Math.min(4, Math.abs(to - from));
    into.append(
      svg("path", {
        d: `M${side},${y0}C${side + out * reach * 1.5},${y0} ${side + out * reach * 1.5},${y1} ${side + out * 7},${y1}`,
        class: shape,
      }),
    );
    into.append(svg("path", { d: `M${side},${y1}l${8 * out},-4.5v9z`, class: arrow }));
    const label = forward ? "flink" : "blink";
    if (dirty)
      into.append(
        svg(
          "text",
          {
            x: side + out * (reach * 1.13 + 7),
            y: (y0 + y1) / 2 + 4,
            class: "bad",
            "text-anchor": forward ? "start" : "end",
            "font-weight": 650,
          },
          label,
        ),
      );
  }
}
