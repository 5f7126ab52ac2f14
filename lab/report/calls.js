// The calls: the diagram, the list with its filters, the steps of the selected one, the fields of the selected step.
const state = { call: 0, step: 0, words: "", who: "", level: "", what: "", bad: false };
const panes = {};

function calls() {
  if (!data.calls.length) return section("calls", "Calls", null, el("p", { class: "empty card" }, "The trace holds no call."));
  lanes.root = svg("svg", { id: "lanes", tabindex: 0, role: "application", "aria-label": "Calls drawn to scale across the exception levels; the lists below say the same in words. Left and right move, up and down change the step, plus and minus zoom, brackets change the call." });
  listenToLanes(lanes.root);
  panes.now = el("span", { class: "now grow", "aria-live": "polite" });
  const button = (name, label, action) => el("button", { class: "plain", type: "button", "aria-label": label, title: label, onclick: action }, name);
  const figure = el("div", { class: "card figure" },
    el("div", { class: "tools" }, panes.now,
      button("‹", "Previous call", () => neighbour(-1)), button("›", "Next call", () => neighbour(1)),
      button("−", "Zoom out", () => zoom(1.8)), button("+", "Zoom in", () => zoom(0.55)),
      button("This call", "Fit the selected call", () => lookAtCall(state.call)), button("All", "Show every call", () => look(0, lanes.total)), linkToStep()),
    lanes.root, panes.legend = el("div", { class: "legend" }));
  onWidth(figure, () => { lanes.width = Math.max(280, figure.clientWidth); drawLanes(); });
  const view = section("calls", "Calls, to scale",
    `Every step as wide as the ${unit} it took, what tracing itself cost taken off. What lies between calls is cut out. ` +
    "Drag to move, pinch or hold Ctrl and scroll to zoom, select a step for its registers.",
    firstCalls(), figure, panes.home = el("div", { class: "three" }, callList(), stepList(), detail()));
  return view;
}
// Each VM's first call that reaches the TEE, all to one scale: small pictures that lead to the large one.
function firstCalls() {
  const firsts = data.vms.map((vm) => [vm, data.calls.findIndex((call) => call.vm === vm.id && call.ticks[3] > 0)]).filter(([, index]) => index >= 0).slice(0, 6);
  if (!firsts.length) return null;
  const most = Math.max(...firsts.map(([, index]) => data.calls[index].total));
  return el("div", { class: "cards firsts" }, firsts.map(([vm, index]) => {
    const call = data.calls[index];
    return el("button", { type: "button", class: "card", "data-first": vm.id, onclick: () => goTo(index, 0) },
      el("span", { class: "row-top" }, el("b", {}, vm.name), el("span", { class: "name soft" }, "first call: " + brief(call.title)), el("span", { class: "num" }, number(call.total))),
      smallPicture(call, most),
      el("span", { class: "row-sub" }, LEVELS.slice(1).map((name, n) => el("span", {}, el("i", { class: "swatch b" + (n + 1) }), `${name} ${number(call.ticks[n + 1])}`))));
  }));
}
function smallPicture(call, most) {
  const width = 400, lane = 15, stub = 26, x = (u) => stub + u / most * (width - 2 * stub);
  const root = svg("svg", { viewBox: `0 0 ${width} ${lane * 4 + 6}`, class: "small", "aria-hidden": "true" });
  const rect = (from, to, level, shape) => root.append(svg("rect", { x: from, y: 3 + level * lane + 2, width: Math.max(0.8, to - from), height: lane - 4, rx: 2, class: `${shape || ""} f${level}` }));
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
  for (const node of panes.filters) { if (node.type === "checkbox") node.checked = false; else node.value = ""; }
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
    const tell = (words) => { panes.link.textContent = said.textContent = words; setTimeout(() => { panes.link.textContent = "Copy link"; }, 1600); };
    // Where there is no clipboard the link is in the address bar, and can be copied from the link itself.
    const copied = navigator.clipboard ? navigator.clipboard.writeText(panes.link.href) : Promise.reject();
    copied.then(() => tell("Copied"), () => tell("It is the page's address"));
  });
  return [panes.link, said];
}
function openLink() {
  const link = /^#call-(\d+)(?:-(\d+))?$/.exec(location.hash), call = link && data.calls[Number(link[1])];
  if (!call) return;
  goTo(Number(link[1]), Math.min(Number(link[2] || 0), Math.max(0, call.steps.length - 1)));
  lanes.root.focus({ preventScroll: true });
}
function callList() {
  panes.filters = [];
  const redraw = () => { filter(); };
  const options = (values, all) => [el("option", { value: "" }, all), ...values.map((value) => el("option", { value }, value))];
  const field = (name, node) => { panes.filters.push(node); node.addEventListener("input", () => { state[name] = node.value; redraw(); }); return node; };
  panes.list = walkable(el("ol", { class: "rows", id: "call-list" }));
  panes.count = el("span", { class: "soft", id: "call-count", "aria-live": "polite" });
  const only = el("input", { type: "checkbox", id: "only-bad" });
  panes.filters.push(only);
  only.addEventListener("change", () => { state.bad = only.checked; redraw(); });
  return el("div", { class: "card calls-pane" },
    el("div", { class: "pane-head" }, el("h3", {}, "Calls"), panes.count,
      field("words", el("input", { type: "search", placeholder: "Function, answer, refusal…", "aria-label": "Search the calls" })),
      field("who", el("select", { "aria-label": "Who called" }, options([...new Set(data.calls.map((call) => call.caller))], "Anyone"))),
      field("level", el("select", { "aria-label": "Which level it reached" }, options(LEVELS, "Any level"))),
      data.calls.some((call) => call.exit) ? panes.what = field("what", el("select", { "aria-label": "Calls, or exits that are none" }, el("option", { value: "" }, "Calls"), el("option", { value: "exits" }, "Other exits"))) : null,
      el("label", { class: "soft", for: "only-bad" }, only, " not as hoped")),
    panes.listScroll = el("div", { class: "scroll" }, panes.list));
}
// Which calls the filter lets through.
function filter() {
  const words = state.words.toLowerCase().split(/\s+/).filter(Boolean);
  const level = LEVELS.indexOf(state.level);
  const matches = (call) => call.exit === (state.what === "exits") && (!state.who || call.caller === state.who) && (level < 0 || call.ticks[level] > 0 || (level === 0 && call.vm !== null)) &&
    (!state.bad || call.mood !== "good") && words.every((word) => call.search.includes(word));
  const shown = [];
  data.calls.forEach((call, index) => { if (matches(call)) shown.push(index); });
  layOut(shown);
  const all = data.calls.filter((call) => call.exit === (state.what === "exits")).length;
  panes.count.textContent = shown.length === all ? number(all) : `${number(shown.length)} of ${number(all)}`;
  panes.first = 0;
  rows();
  if (!shown.includes(state.call) && shown.length) select(shown[0], 0, true);
  else { look(0, lanes.total); if (shown.length) lookAtCall(state.call); }
}
// Only a part of a long list is in the page.
const PAGE = 150;
function rows() {
  const shown = lanes.shown, place = Math.max(0, shown.indexOf(state.call));
  if (place < panes.first || place >= panes.first + PAGE) panes.first = Math.max(0, place - (PAGE >> 1));
  const end = Math.min(shown.length, panes.first + PAGE);
  const more = (label, first) => el("li", {}, el("button", { type: "button", class: "soft", onclick: () => { panes.first = Math.max(0, first); rowsOnly(); } }, label));
  const focused = panes.list.contains(document.activeElement);
  panes.list.replaceChildren(...[
    panes.first > 0 ? more(`↑ ${plural(panes.first, "earlier call")}`, panes.first - PAGE) : null,
    ...shown.slice(panes.first, end).map(callRow),
    end < shown.length ? more(`↓ ${plural(shown.length - end, "later call")}`, panes.first + PAGE) : null,
  ].filter(Boolean));
  stop(panes.list);
  if (focused) panes.list.querySelector("button[tabindex='0']")?.focus();
}
function rowsOnly() { const keep = state.call; state.call = -1; const first = panes.first; rows(); panes.first = first; state.call = keep; panes.list.querySelector("button")?.focus(); mark(); }
function callRow(index) {
  const call = data.calls[index];
  return el("li", {}, el("button", { type: "button", "data-index": index, "aria-current": index === state.call ? "true" : "false", onclick: () => select(index, 0, true) },
    el("span", { class: "row-top" }, chip(call.caller, call.vm === null ? (call.caller === "EL3" ? 2 : 1) : 0), el("span", { class: "name", title: call.title }, breakable(brief(call.title))), el("span", { class: "num" }, short(call.total))),
    split(call),
    el("span", { class: "row-sub" }, el("span", { class: moodClass(call.mood) }, MOODS[call.mood]), el("span", { class: "grow" }, call.refusals.length ? call.refusals[0] : call.outcome), el("span", { class: "num" }, "at " + short(Math.max(0, call.begin - data.begin))))));
}
// How a call's instructions are shared between the levels.
function split(call) {
  const bar = el("span", { class: "split", "aria-hidden": "true" });
  call.ticks.forEach((ticks, level) => {
    if (!ticks) return;
    const part = el("i", { class: "b" + level });
    part.style.width = ticks / Math.max(1, call.total) * 100 + "%";
    bar.append(part);
  });
  return bar;
}
function stepList() {
  panes.steps = walkable(el("ol", { class: "rows steps", id: "step-list" }));
  panes.stepsHead = el("h3", {}, "Steps");
  panes.stepsNote = el("span", { class: "soft" });
  return el("div", { class: "card steps-pane" }, el("div", { class: "pane-head" }, panes.stepsHead, panes.stepsNote), el("div", { class: "scroll" }, panes.steps));
}
function detail() {
  panes.detail = el("div", { class: "card detail", id: "detail", tabindex: 0, role: "region", "aria-label": "The selected step", "aria-live": "polite" });
  return panes.detail;
}
// Selects a step of a call; `fit` also brings the call into the diagram's view.
function select(index, step, fit) {
  const other = index !== state.call || !panes.steps.childElementCount;
  state.call = index;
  state.step = step;
  if (other) { showSteps(); rowsInView(); }
  mark();
  showDetail();
  if (fit) lookAtCall(index); else schedule();
  Object.values(cursors).forEach((move) => move());
  panes.link.href = address();
  // Not before the reader has chosen something: the address is theirs until then.
  if (state.ready) try { history.replaceState(null, "", address()); } catch { /* A browser that forbids it to files. */ }
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
      const box = panes.listScroll, top = node.offsetTop - box.offsetTop;
      if (top < box.scrollTop || top + node.offsetHeight > box.scrollTop + box.clientHeight) box.scrollTop = top - box.clientHeight / 3;
    }
  }
  panes.steps.querySelectorAll("button").forEach((node, n) => node.setAttribute("aria-current", String(n === state.step)));
  for (const list of [panes.list, panes.steps]) if (!list.contains(document.activeElement)) stop(list);
  placeDetail();
  const call = data.calls[state.call];
  panes.now.replaceChildren(el("b", {}, call.caller), " ", call.title, " → ", el("span", { class: moodClass(call.mood) }, call.outcome));
  panes.legend.replaceChildren(...LEVELS.map((name, level) => el("span", {}, el("i", { class: "swatch b" + level }), name, " ", el("b", {}, number(call.ticks[level])))),
    el("span", {}, "together ", el("b", {}, number(call.total)), " " + unit));
}
function showSteps() {
  const call = data.calls[state.call], most = Math.max(1, ...call.steps.map((step) => step[STEP.ticks]));
  panes.stepsNote.textContent = `${plural(call.steps.length, "record")} on CPU ${call.cpu}` + (call.more ? `, ${number(call.more)} not kept` : "");
  panes.steps.replaceChildren(...call.steps.map((step, n) => {
    const level = step[STEP.level], bar = el("span", { class: `bar b${level}`, "aria-hidden": "true" });
    bar.style.width = step[STEP.ticks] / most * 100 + "%";
    bar.style.display = "block";
    return el("li", {}, el("button", { type: "button", class: "l" + level, onclick: () => select(state.call, n, false) },
      el("span", { class: "row-top" }, chip(data.layers[step[STEP.layer]].name, data.layers[step[STEP.layer]].level), el("span", { class: "name" }, breakable(brief(text(step[STEP.title])))), el("span", { class: "num" }, number(step[STEP.ticks]))),
      step[STEP.elsewhere] ? el("span", { class: "row-sub" }, `then ${number(step[STEP.elsewhere])} idle or on another CPU`) : null, bar));
  }));
  if (!call.steps.length) panes.steps.append(el("li", { class: "empty" }, "The records of this call were not kept: there are too many calls. Its sums are above."));
}
function showDetail() {
  const call = data.calls[state.call], step = call.steps[state.step];
  if (!step) { panes.detail.replaceChildren(el("p", { class: "empty" }, "No record.")); return; }
  const layer = data.layers[step[STEP.layer]], level = step[STEP.level];
  const row = (index) => {
    const [name, value, meaning] = data.fields[index].map(text);
    return el("tr", { class: /\[/.test(name) ? "sub" : null }, el("th", { scope: "row" }, name), el("td", {}, el("span", { class: "value" }, value), meaning ? el("span", { class: "meaning" }, breakable(meaning)) : null));
  };
  const extra = [
    ["client id", text(step[STEP.client])], ["at", `${when(step[STEP.time])} (counter ${number(step[STEP.time])})`],
    ["record", `number ${number(step[STEP.sequence])} of ${layer.name} on CPU ${call.cpu}`],
    ["until the next", `${number(step[STEP.ticks])} ${unit}${level >= 0 ? " at " + LEVELS[level] : ""}`],
  ];
  panes.detail.replaceChildren(
    el("div", { class: "pane-head" }, chip(`${layer.name} ${layer.at}`, layer.level), el("h3", {}, breakable(text(step[STEP.title])))),
    el("table", { class: "fields" }, el("tbody", {}, step.slice(STEP.fields).map(row),
      extra.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, el("span", { class: "meaning" }, value)))))));
}
