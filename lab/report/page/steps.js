// SPDX-License-Identifier: MIT OR Apache-2.0
// The selected call: its steps, the fields of the selected step.
// How a call's instructions are shared between the levels.
function split(call) {
  const bar = el("span", { class: "split", "aria-hidden": "true" });
  call.ticks.forEach((ticks, level) => {
    if (!ticks) return;
    const part = el("i", { class: "b" + level });
    part.style.width = (ticks / Math.max(1, call.total)) * 100 + "%";
    bar.append(part);
  });
  return bar;
}
function stepList() {
  panes.steps = walkable(el("ol", { class: "rows steps", id: "step-list" }));
  panes.stepsHead = el("h3", {}, "Steps");
  panes.stepsNote = el("span", { class: "soft" });
  return el(
    "div",
    { class: "card steps-pane" },
    el("div", { class: "pane-head" }, panes.stepsHead, panes.stepsNote),
    el("div", { class: "scroll" }, panes.steps),
  );
}
function detail() {
  panes.detail = el("div", {
    class: "card detail",
    id: "detail",
    tabindex: 0,
    role: "region",
    "aria-label": "The selected step",
    "aria-live": "polite",
  });
  return panes.detail;
}
// Selects a step of a call; `fit` also brings the call into the diagram's view.
function select(index, step, fit) {
  const other = index !== state.call || !panes.steps.childElementCount;
  state.call = index;
  state.step = step;
  if (other) {
    showSteps();
    rowsInView();
  }
  mark();
  showDetail();
  if (fit) lookAtCall(index);
  else schedule();
  Object.values(cursors).forEach((move) => move());
  panes.link.href = address();
  // Not before the reader has chosen something: the address is theirs until then.
  if (state.ready)
    try {
      history.replaceState(null, "", address());
    } catch {
      /* A browser that forbids it to files. */
    }
}
function otherStep(by) {
  const step = state.step + by;
  if (step >= 0 && step < data.calls[state.call].steps.length) select(state.call, step, false);
}
// On a narrow screen the fields stand below their step, else beside the steps.
const narrow = matchMedia("(max-width: 46rem)");
function placeDetail() {
  const row = narrow.matches && panes.steps.querySelectorAll("button")[state.step];
  const home = row ? row.parentNode : panes.home;
  if (home && panes.detail.parentNode !== home) home.append(panes.detail);
  // Beside the steps it scrolls, which keys can do only where the focus is.
  panes.detail.tabIndex = row ? -1 : 0;
}
narrow.addEventListener("change", () => panes.steps && placeDetail());
function rowsInView() {
  const place = lanes.shown.indexOf(state.call);
  if (place < panes.first || place >= panes.first + PAGE) rows();
}
function neighbour(by) {
  const next = lanes.shown[lanes.shown.indexOf(state.call) + by];
  if (next !== undefined) select(next, 0, true);
}
function mark() {
  for (const node of panes.list.querySelectorAll("[data-index]")) {
    const current = Number(node.dataset.index) === state.call;
    node.setAttribute("aria-current", String(current));
    if (current) {
      const box = panes.listScroll,
        top = node.offsetTop - box.offsetTop;
      if (top < box.scrollTop || top + node.offsetHeight > box.scrollTop + box.clientHeight)
        box.scrollTop = top - box.clientHeight / 3;
    }
  }
  panes.steps
    .querySelectorAll("button")
    .forEach((node, n) => node.setAttribute("aria-current", String(n === state.step)));
  for (const list of [panes.list, panes.steps]) if (!list.contains(document.activeElement)) stop(list);
  placeDetail();
  const call = data.calls[state.call];
  panes.now.replaceChildren(
    el("b", {}, call.caller),
    " ",
    call.title,
    " → ",
    el("span", { class: moodClass(call.mood) }, call.outcome),
  );
  panes.legend.replaceChildren(
    ...LEVELS.map((name, level) =>
      el("span", {}, el("i", { class: "swatch b" + level }), name, " ", el("b", {}, number(call.ticks[level]))),
    ),
    el("span", {}, "together ", el("b", {}, number(call.total)), " " + unit),
  );
}
function showSteps() {
  const call = data.calls[state.call],
    most = Math.max(1, ...call.steps.map((step) => step[STEP.ticks]));
  panes.stepsNote.textContent =
    `${plural(call.steps.length, "record")} on CPU ${call.cpu}` + (call.more ? `, ${number(call.more)} not kept` : "");
  panes.steps.replaceChildren(
    ...call.steps.map((step, n) => {
      const level = step[STEP.level],
        bar = el("span", { class: `bar b${level}`, "aria-hidden": "true" });
      bar.style.width = (step[STEP.ticks] / most) * 100 + "%";
      bar.style.display = "block";
      return el(
        "li",
        {},
        el(
          "button",
          { type: "button", class: "l" + level, onclick: () => select(state.call, n, false) },
          el(
            "span",
            { class: "row-top" },
            chip(data.layers[step[STEP.layer]].name, data.layers[step[STEP.layer]].level),
            el("span", { class: "name" }, breakable(brief(text(step[STEP.title])))),
            el("span", { class: "num" }, number(step[STEP.ticks])),
          ),
          step[STEP.elsewhere]
            ? el("span", { class: "row-sub" }, `then ${number(step[STEP.elsewhere])} idle or on another CPU`)
            : null,
          bar,
        ),
      );
    }),
  );
  if (!call.steps.length)
    panes.steps.append(
      el(
        "li",
        { class: "empty" },
        "The records of this call were not kept: there are too many calls. Its sums are above.",
      ),
    );
}
function showDetail() {
  const call = data.calls[state.call],
    step = call.steps[state.step];
  if (!step) {
    panes.detail.replaceChildren(el("p", { class: "empty" }, "No record."));
    return;
  }
  const layer = data.layers[step[STEP.layer]],
    level = step[STEP.level];
  const row = (index) => {
    const [name, value, meaning] = data.fields[index].map(text);
    return el(
      "tr",
      { class: /\[/.test(name) ? "sub" : null },
      el("th", { scope: "row" }, name),
      el(
        "td",
        {},
        el("span", { class: "value" }, value),
        meaning ? el("span", { class: "meaning" }, breakable(meaning)) : null,
      ),
    );
  };
  const extra = [
    ["client id", text(step[STEP.client])],
    ["at", `${when(step[STEP.time])} (counter ${number(step[STEP.time])})`],
    ["record", `number ${number(step[STEP.sequence])} of ${layer.name} on CPU ${call.cpu}`],
    ["until the next", `${number(step[STEP.ticks])} ${unit}${level >= 0 ? " at " + LEVELS[level] : ""}`],
  ];
  panes.detail.replaceChildren(
    el(
      "div",
      { class: "pane-head" },
      chip(`${layer.name} ${layer.at}`, layer.level),
      el("h3", {}, breakable(text(step[STEP.title]))),
    ),
    el(
      "table",
      { class: "fields" },
      el(
        "tbody",
        {},
        step.slice(STEP.fields).map(row),
        extra.map(([name, value]) =>
          el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, el("span", { class: "meaning" }, value))),
        ),
      ),
    ),
  );
}
