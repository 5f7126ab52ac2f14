// SPDX-License-Identifier: MIT OR Apache-2.0
// Small helpers. Text from the run is untrusted: it becomes text nodes and attributes, never markup.
const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const LEVELS = data.levels;
const unit = data.instructions ? "instructions" : "ticks";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}
const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
const svg = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

// 12 345 678, with narrow spaces.
const number = (value) => String(value).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
const plural = (count, one, many) => `${number(count)} ${count === 1 ? one : many || one + "s"}`;
function short(value) {
  if (value < 10000) return number(value);
  if (value < 1e6) return (value / 1e3).toFixed(value < 1e5 ? 1 : 0) + "k";
  if (value < 1e9) return (value / 1e6).toFixed(value < 1e8 ? 1 : 0) + "M";
  return (value / 1e9).toFixed(1) + "G";
}
const hex = (value) => "0x" + value.toString(16);
function bytes(size) {
  if (size >= 1 << 20) return +(size / (1 << 20)).toFixed(2) + " MiB";
  if (size >= 1 << 10) return +(size / (1 << 10)).toFixed(1) + " KiB";
  return size + " bytes";
}
const text = (index) => data.strings[index];
// A name without the prefix that all its kind share; the whole one is on the tooltip.
const brief = (name) =>
  name.replace(/\bOPTEE_SMC_(?=CALLS?_?)|\bOPTEE_SMC_|\bOPTEE_MSG_CMD_|\bTEESMC_OPTEED_|\bOPTEE_RPC_CMD_/g, "");
// Where a long name may be broken: after each underscore.
const breakable = (name) => name.split(/(?<=_)/).flatMap((part, i) => (i ? [el("wbr"), part] : [part]));
// When, counted from the first record.
const when = (time) => number(Math.max(0, time - data.begin));
const MOODS = { good: "✓", wait: "…", bad: "✗", fatal: "✗" };
// A refusal is an answer like others; red is for what killed a layer.
const moodClass = (mood) => ({ fatal: "bad", bad: "wait", wait: "soft" })[mood] || mood;

function section(id, title, note, ...children) {
  return el(
    "section",
    { id, "aria-labelledby": id + "-h" },
    el("h2", { id: id + "-h" }, title),
    note && el("p", { class: "note" }, note),
    ...children,
  );
}
function table(heads, rows) {
  const cell = (tag, value, numeric) =>
    el(tag, { class: numeric ? "num" : null, scope: tag === "th" ? "col" : null }, value);
  return el(
    "table",
    { class: "list" },
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        heads.map(([name, numeric]) => cell("th", name, numeric)),
      ),
    ),
    el(
      "tbody",
      {},
      rows.map((row) =>
        el(
          "tr",
          {},
          row.map((value, i) => cell("td", value, heads[i][1])),
        ),
      ),
    ),
  );
}
// A list of buttons is one stop of the Tab key; Up, Down, Home and End move within it.
function walkable(list) {
  list.addEventListener("keydown", (event) => {
    const buttons = [...list.querySelectorAll("button")],
      at = buttons.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (to === undefined || !buttons[to]) return;
    event.preventDefault();
    buttons[to].focus();
    buttons[to].click();
  });
  list.addEventListener("focusin", (event) => stop(list, event.target));
  return list;
}
// The button at which Tab stops: this one, else the current one, else the first.
function stop(list, button) {
  const at = button || list.querySelector("button[aria-current=true]") || list.querySelector("button");
  for (const each of list.querySelectorAll("button")) each.tabIndex = each === at ? 0 : -1;
}
// Draws when the page is put together, and again whenever the node's width changes.
const drawings = [];
function onWidth(node, draw) {
  let last = -1;
  const redraw = () => {
    if (node.clientWidth === last) return;
    last = node.clientWidth;
    draw();
  };
  drawings.push(redraw);
  new ResizeObserver(() => requestAnimationFrame(redraw)).observe(node);
}
// Which level a speaker of the console belongs to.
const speakerLevel = (speaker) => ({ HYP: 1, probe: 1, EL3: 2, TEE: 3 })[speaker] ?? (/^vm\d+$/.test(speaker) ? 0 : -1);
const chip = (name, level) => el("span", { class: "chip" + (level >= 0 ? " c" + level : "") }, name);
