// The whole run on one axis: each VM's life, its calls, the heap of its partition.
// What moves when another call is selected.
const cursors = {};
const asked = () => data.calls.filter((call) => !call.exit);
function run() {
  if (!data.vms.length && !data.calls.length) return null;
  const figure = el("div", { class: "card figure", id: "run-figure" });
  const note = `${plural(asked().length, "call")} from the first record to the last, ${number(data.end - data.begin)} ${unit} later. ` +
    "Each line is a call: select it to see its steps below. Bars show how long a VM lived, and how long the TEE had a partition for it.";
  const draw = () => figure.replaceChildren(runPicture(figure.clientWidth || 900));
  onWidth(figure, draw);
  return section("run", "The run", note, figure);
}
function runPicture(width) {
  // On a narrow screen names stand above their rows.
  const slim = width < 600, left = slim ? 12 : 124, right = 14, row = slim ? 92 : 74, top = slim ? 34 : 14;
  const rows = data.vms.map((vm) => ({ vm, name: vm.name, calls: asked().filter((call) => call.vm === vm.id) }));
  const others = asked().filter((call) => call.vm === null || !data.vms.some((vm) => vm.id === call.vm));
  if (others.length) rows.unshift({ vm: null, name: data.normal, calls: others });
  const height = top + rows.length * row + 26;
  const span = Math.max(1, data.end - data.begin);
  const x = (time) => left + (Math.min(Math.max(time, data.begin), data.end) - data.begin) / span * (width - left - right);
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": "The run: VMs, their calls and heaps over time" });
  rows.forEach((entry, index) => {
    const y = top + index * row;
    root.append(svg("text", { x: 12, y: slim ? y - 4 : y + 20, "font-weight": 600 }, slim ? entry.name : clip(entry.name, left - 16)));
    root.append(svg("text", { x: slim ? width - right : 12, y: slim ? y - 4 : y + 36, class: "soft", "text-anchor": slim ? "end" : null }, plural(entry.calls.length, "call")));
    if (entry.vm) life(root, entry.vm, x, y);
    const drawn = new Set();
    for (const call of entry.calls) {
      const at = Math.round(x(call.begin) * 2) / 2, key = at + moodClass(call.mood);
      if (drawn.has(key)) continue;
      drawn.add(key);
      root.append(svg("line", { x1: at, x2: at, y1: y + 6, y2: y + 32, class: "tick " + ({ bad: "no", fatal: "fatal" }[call.mood] || "") }));
    }
    if (entry.vm) heap(root, entry.vm, x, y + 38, 26);
    root.append(svg("line", { x1: 0, x2: width, y1: y + row - (slim ? 22 : 4), y2: y + row - (slim ? 22 : 4), class: "gridline" }));
  });
  axis(root, left, width - right, height - 8);
  const cursor = svg("line", { y1: top, y2: height - 24, class: "cursor" });
  root.append(cursor);
  const mark = () => { const at = x((data.calls[state.call] || { begin: data.begin }).begin); cursor.setAttribute("x1", at); cursor.setAttribute("x2", at); };
  cursors.run = mark; mark();
  root.addEventListener("click", (event) => {
    const box = root.getBoundingClientRect(), px = (event.clientX - box.left) / box.width * width, py = (event.clientY - box.top) / box.height * height;
    const entry = rows[Math.floor((py - top) / row)];
    const near = (calls) => calls.reduce((best, call) => Math.abs(x(call.begin) - px) < Math.abs(x(best.begin) - px) ? call : best, calls[0]);
    if (entry && entry.calls.length) goTo(data.calls.indexOf(near(entry.calls)), 0);
  });
  return root;
}
const clip = (name, width) => (name.length * 7 > width ? name.slice(0, Math.max(3, Math.floor(width / 7) - 1)) + "…" : name);
function life(root, vm, x, y) {
  const bar = (from, to, shape, at, height) => root.append(svg("rect", { x: x(from), width: Math.max(1, x(to) - x(from)), y: at, height, rx: 3, class: shape }));
  const made = vm.changes.find((change) => change[2] === "made"), running = vm.changes.find((change) => change[2] === "running");
  const ends = [...vm.changes].reverse().find((change) => change[2] === "over"), over = ends ? ends[0] : data.end;
  if (made) bar(made[0], over, "life", y + 6, 26);
  if (running) bar(running[0], over, "life run", y + 6, 26);
  let begun = null;
  for (const [time, , what] of vm.changes) {
    if (what === "partition") begun = time;
    if (what === "gone" && begun !== null) { bar(begun, time, "part", y + 34, 3); begun = null; }
  }
  if (begun !== null) bar(begun, data.end, "part", y + 34, 3);
  for (const [time, words] of vm.changes) {
    root.append(svg("circle", { cx: x(time), cy: y + 35, r: 2.5, class: "f3" }, svg("title", {}, `${words}, at ${when(time)}`)));
  }
}
function heap(root, vm, x, y, height) {
  if (!vm.heap.length) return;
  const most = Math.max(...vm.heap.map((point) => point[2]), 1), at = (value) => y + height - value / most * height;
  const line = (column) => {
    let path = "", last = null;
    for (const point of vm.heap) {
      path += last === null ? `M${x(point[0])},${at(point[column])}` : `H${x(point[0])}V${at(point[column])}`;
      last = point;
    }
    return path + `H${x(data.end)}`;
  };
  const used = line(1);
  root.append(svg("path", { d: `${used}V${y + height}H${x(vm.heap[0][0])}Z`, class: "heapfill" }),
    svg("path", { d: used, class: "heapline" }, svg("title", {}, "TEE heap in use")), svg("path", { d: line(2), class: "peakline" }, svg("title", {}, "its peak")));
}
function axis(root, from, to, y) {
  const count = to - from < 500 ? 3 : 6;
  for (let i = 0; i <= count; i++) {
    const value = Math.round((data.end - data.begin) * i / count);
    root.append(svg("text", { x: from + (to - from) * i / count, y, class: "soft", "text-anchor": i === 0 ? "start" : i === count ? "end" : "middle" }, short(value)));
  }
}
