// SPDX-License-Identifier: MIT OR Apache-2.0
// The calls: the diagram, the list with its filters.
const state = { call: 0, step: 0, words: "", who: "", level: "", what: "", bad: false };
const panes = {};

function calls() {
  if (!data.calls.length)
    return section("calls", "Calls", null, el("p", { class: "empty card" }, "The trace holds no call."));
  lanes.root = svg("svg", {
    id: "lanes",
    tabindex: 0,
    role: "application",
    "aria-label":
      "Calls drawn to scale across the exception levels; the lists below say the same in words. Left and right " +
      "move, up and down change the step, plus and minus zoom, brackets change the call.",
  });
  listenToLanes(lanes.root);
  panes.now = el("span", { class: "now grow", "aria-live": "polite" });
  const button = (name, label, action) =>
    el("button", { class: "plain", type: "button", "aria-label": label, title: label, onclick: action }, name);
  const figure = el(
    "div",
    { class: "card figure" },
    el(
      "div",
      { class: "tools" },
      panes.now,
      button("‹", "Previous call", () => neighbour(-1)),
      button("›", "Next call", () => neighbour(1)),
      button("−", "Zoom out", () => zoom(1.8)),
      button("+", "Zoom in", () => zoom(0.55)),
      button("This call", "Fit the selected call", () => lookAtCall(state.call)),
      button("All", "Show every call", () => look(0, lanes.total)),
      linkToStep(),
    ),
    lanes.root,
    (panes.legend = el("div", { class: "legend" })),
  );
  onWidth(figure, () => {
    lanes.width = Math.max(280, figure.clientWidth);
    drawLanes();
  });
  const view = section(
    "calls",
    "Calls, to scale",
    `Every step as wide as the ${unit} it took, what tracing itself cost taken off. What lies between calls is ` +
      "cut out. " +
      "Drag to move, pinch or hold Ctrl and scroll to zoom, select a step for its registers.",
    firstCalls(),
    figure,
    (panes.home = el("div", { class: "three" }, callList(), stepList(), detail())),
  );
  return view;
}
// Each VM's first call that reaches the TEE, all to one scale: small pictures that lead to the large one.
function firstCalls() {
  const firsts = data.vms
    .map((vm) => [vm, data.calls.findIndex((call) => call.vm === vm.id && call.ticks[3] > 0)])
    .filter(([, index]) => index >= 0)
    .slice(0, 6);
  if (!firsts.length) return null;
  const most = Math.max(...firsts.map(([, index]) => data.calls[index].total));
  return el(
    "div",
    { class: "cards firsts" },
    firsts.map(([vm, index]) => {
      const call = data.calls[index];
      return el(
        "button",
        { type: "button", class: "card", "data-first": vm.id, onclick: () => goTo(index, 0) },
        el(
          "span",
          { class: "row-top" },
          el("b", {}, vm.name),
          el("span", { class: "name soft" }, "first call: " + brief(call.title)),
          el("span", { class: "num" }, number(call.total)),
        ),
        smallPicture(call, most),
        el(
          "span",
          { class: "row-sub" },
          LEVELS.slice(1).map((name, n) =>
            el("span", {}, el("i", { class: "swatch b" + (n + 1) }), `${name} ${number(call.ticks[n + 1])}`),
          ),
        ),
      );
    }),
  );
}
function smallPicture(call, most) {
  const width = 400,
    lane = 15,
    stub = 26,
    x = (u) => stub + (u / most) * (width - 2 * stub);
  const root = svg("svg", { viewBox: `0 0 ${width} ${lane * 4 + 6}`, class: "small", "aria-hidden": "true" });
  const rect = (from, to, level, shape) =>
    root.append(
      svg("rect", {
        x: from,
        y: 3 + level * lane + 2,
        width: Math.max(0.8, to - from),
        height: lane - 4,
        rx: 2,
        class: `${shape || ""} f${level}`,
      }),
    );
  rect(x(0) - stub + 4, x(0) - 1, 0, "stub");
  let u = 0;
  for (const step of call.steps) {
    const next = u + step[STEP.ticks];
    if (step[STEP.level] >= 0) rect(x(u), x(next) - 0.6, step[STEP.level]);
    u = next;
  }
  if (call.answered) rect(x(u) + 1, x(u) + stub - 4, 0, "stub");
  return root;
}
// Takes the filter away.
function showAll(what = "") {
  for (const node of panes.filters) {
    if (node.type === "checkbox") node.checked = false;
    else node.value = "";
  }
  if (panes.what) panes.what.value = what;
  Object.assign(state, { words: "", who: "", level: "", what, bad: false });
  filter();
}
// Selects a call or an exit from elsewhere on the page, and brings it onto the screen.
function goTo(index, step) {
  show(index, step);
  lanes.root.scrollIntoView({ block: "center" });
}
function show(index, step) {
  const what = data.calls[index].exit ? "exits" : "";
  if (state.what !== what || !lanes.shown.includes(index)) showAll(what);
  select(index, step, true);
}
// report.html#call-12-3 is step 3 of call 12, both counted from 0. The address follows what is selected.
const address = () => `#call-${state.call}-${state.step}`;
function linkToStep() {
  const said = el("span", { class: "visually-hidden", "aria-live": "polite" });
  panes.link = el("a", { class: "plain", id: "link", href: "#", title: "Copy the link to this step" }, "Copy link");
  panes.link.addEventListener("click", (event) => {
    event.preventDefault();
    const tell = (words) => {
      panes.link.textContent = said.textContent = words;
      setTimeout(() => {
        panes.link.textContent = "Copy link";
      }, 1600);
    };
    // Where there is no clipboard the link is in the address bar, and can be copied from the link itself.
    const copied = navigator.clipboard ? navigator.clipboard.writeText(panes.link.href) : Promise.reject();
    copied.then(
      () => tell("Copied"),
      () => tell("It is the page's address"),
    );
  });
  return [panes.link, said];
}
function openLink() {
  const link = /^#call-(\d+)(?:-(\d+))?$/.exec(location.hash),
    call = link && data.calls[Number(link[1])];
  if (!call) return;
  goTo(Number(link[1]), Math.min(Number(link[2] || 0), Math.max(0, call.steps.length - 1)));
  lanes.root.focus({ preventScroll: true });
}
function callList() {
  panes.filters = [];
  const redraw = () => {
    filter();
  };
  const options = (values, all) => [
    el("option", { value: "" }, all),
    ...values.map((value) => el("option", { value }, value)),
  ];
  const field = (name, node) => {
    panes.filters.push(node);
    node.addEventListener("input", () => {
      state[name] = node.value;
      redraw();
    });
    return node;
  };
  panes.list = walkable(el("ol", { class: "rows", id: "call-list" }));
  panes.count = el("span", { class: "soft", id: "call-count", "aria-live": "polite" });
  const only = el("input", { type: "checkbox", id: "only-bad" });
  panes.filters.push(only);
  only.addEventListener("change", () => {
    state.bad = only.checked;
    redraw();
  });
  return el(
    "div",
    { class: "card calls-pane" },
    el(
      "div",
      { class: "pane-head" },
      el("h3", {}, "Calls"),
      panes.count,
      field(
        "words",
        el("input", { type: "search", placeholder: "Function, answer, refusal…", "aria-label": "Search the calls" }),
      ),
      field(
        "who",
        el(
          "select",
          { "aria-label": "Who called" },
          options([...new Set(data.calls.map((call) => call.caller))], "Anyone"),
        ),
      ),
      field("level", el("select", { "aria-label": "Which level it reached" }, options(LEVELS, "Any level"))),
      data.calls.some((call) => call.exit)
        ? (panes.what = field(
            "what",
            el(
              "select",
              { "aria-label": "Calls, or exits that are none" },
              el("option", { value: "" }, "Calls"),
              el("option", { value: "exits" }, "Other exits"),
            ),
          ))
        : null,
      el("label", { class: "soft", for: "only-bad" }, only, " not as hoped"),
    ),
    (panes.listScroll = el("div", { class: "scroll" }, panes.list)),
  );
}
// Which calls the filter lets through.
function filter() {
  const words = state.words.toLowerCase().split(/\s+/).filter(Boolean);
  const level = LEVELS.indexOf(state.level);
  const matches = (call) =>
    call.exit === (state.what === "exits") &&
    (!state.who || call.caller === state.who) &&
    (level < 0 || call.ticks[level] > 0 || (level === 0 && call.vm !== null)) &&
    (!state.bad || call.mood !== "good") &&
    words.every((word) => call.search.includes(word));
  const shown = [];
  data.calls.forEach((call, index) => {
    if (matches(call)) shown.push(index);
  });
  layOut(shown);
  const all = data.calls.filter((call) => call.exit === (state.what === "exits")).length;
  panes.count.textContent = shown.length === all ? number(all) : `${number(shown.length)} of ${number(all)}`;
  panes.first = 0;
  rows();
  if (!shown.includes(state.call) && shown.length) select(shown[0], 0, true);
  else {
    look(0, lanes.total);
    if (shown.length) lookAtCall(state.call);
  }
}
// Only a part of a long list is in the page.
const PAGE = 150;
function rows() {
  const shown = lanes.shown,
    place = Math.max(0, shown.indexOf(state.call));
  if (place < panes.first || place >= panes.first + PAGE) panes.first = Math.max(0, place - (PAGE >> 1));
  const end = Math.min(shown.length, panes.first + PAGE);
  const more = (label, first) =>
    el(
      "li",
      {},
      el(
        "button",
        {
          type: "button",
          class: "soft",
          onclick: () => {
            panes.first = Math.max(0, first);
            rowsOnly();
          },
        },
        label,
      ),
    );
  const focused = panes.list.contains(document.activeElement);
  panes.list.replaceChildren(
    ...[
      panes.first > 0 ? more(`↑ ${plural(panes.first, "earlier call")}`, panes.first - PAGE) : null,
      ...shown.slice(panes.first, end).map(callRow),
      end < shown.length ? more(`↓ ${plural(shown.length - end, "later call")}`, panes.first + PAGE) : null,
    ].filter(Boolean),
  );
  stop(panes.list);
  if (focused) panes.list.querySelector("button[tabindex='0']")?.focus();
}
function rowsOnly() {
  const keep = state.call;
  state.call = -1;
  const first = panes.first;
  rows();
  panes.first = first;
  state.call = keep;
  panes.list.querySelector("button")?.focus();
  mark();
}
function callRow(index) {
  const call = data.calls[index];
  return el(
    "li",
    {},
    el(
      "button",
      {
        type: "button",
        "data-index": index,
        "aria-current": index === state.call ? "true" : "false",
        onclick: () => select(index, 0, true),
      },
      el(
        "span",
        { class: "row-top" },
        chip(call.caller, call.vm === null ? (call.caller === "EL3" ? 2 : 1) : 0),
        el("span", { class: "name", title: call.title }, breakable(brief(call.title))),
        el("span", { class: "num" }, short(call.total)),
      ),
      split(call),
      el(
        "span",
        { class: "row-sub" },
        el("span", { class: moodClass(call.mood) }, MOODS[call.mood]),
        el("span", { class: "grow" }, call.refusals.length ? call.refusals[0] : call.outcome),
        el("span", { class: "num" }, "at " + short(Math.max(0, call.begin - data.begin))),
      ),
    ),
  );
}
