// SPDX-License-Identifier: MIT OR Apache-2.0
// The whole run on one axis: each VM's life, its calls, the heap of its partition.
// What moves when another call is selected.
const cursors = {};
const asked = () => data.calls.filter((call) => !call.exit);
// So many VMs have a row and a card of their own: those with the most to tell. The others share one.
const MOST_VMS = 8;
const [soloists, crowd] = (() => {
  if (data.vms.length <= MOST_VMS + 1) return [data.vms, []];
  const much = (vm) => [vm.ticks, vm.calls, vm.heap.length, vm.changes.length];
  const more = (a, b) => much(a).reduce((order, value, i) => order || much(b)[i] - value, 0);
  const silent = (vm) => !(vm.ticks || vm.calls || vm.refusals || vm.heap.length);
  const chosen = new Set(
    data.vms
      .filter((vm) => !silent(vm))
      .sort(more)
      .slice(0, MOST_VMS),
  );
  return [data.vms.filter((vm) => chosen.has(vm)), data.vms.filter((vm) => !chosen.has(vm))];
})();
// Calls by row: whoever stands in the hypervisor's place, the VMs, the crowd.
const timeline = { rows: [], x: () => 0 };
function layRows() {
  const of = (vm) => asked().filter((call) => call.vm === vm.id);
  timeline.rows = soloists.map((vm) => ({ vm, name: vm.name, calls: of(vm) }));
  const others = asked().filter((call) => call.vm === null || !data.vms.some((vm) => vm.id === call.vm));
  if (others.length) timeline.rows.unshift({ vm: null, name: data.normal, calls: others });
  if (crowd.length)
    timeline.rows.push({
      vm: null,
      crowd,
      name: plural(crowd.length, "other VM"),
      calls: asked().filter((call) => crowd.some((vm) => vm.id === call.vm)),
    });
}
function run() {
  if (!data.vms.length && !data.calls.length) return null;
  layRows();
  const figure = el("div", { class: "card figure", id: "run-figure" });
  const note =
    `${plural(asked().length, "call")} from the first record to the last, ${number(data.end - data.begin)} ` +
    `${unit} later. ` +
    "Each line is a call: select it to see its steps below. Bars show how long a VM lived, and how long the TEE " +
    "had a partition for it.";
  const draw = () => figure.replaceChildren(runPicture(figure.clientWidth || 900));
  onWidth(figure, draw);
  return section("run", "The run", note, figure);
}
function runPicture(width) {
  // On a narrow screen names stand above their rows.
  const slim = width < 600,
    left = slim ? 12 : 124,
    right = 14,
    row = slim ? 92 : 74,
    top = slim ? 34 : 14;
  const rows = timeline.rows,
    height = top + rows.length * row + 26;
  const span = Math.max(1, data.end - data.begin);
  const x = (time) =>
    left + ((Math.min(Math.max(time, data.begin), data.end) - data.begin) / span) * (width - left - right);
  const root = svg("svg", {
    viewBox: `0 0 ${width} ${height}`,
    height,
    tabindex: 0,
    role: "application",
    "aria-label":
      "The run: VMs, their calls and heaps over time. Left and right go from call to call, up and down from row " +
      "to row, Enter shows the call.",
  });
  rows.forEach((entry, index) => {
    const y = top + index * row;
    root.append(
      svg(
        "text",
        { x: 12, y: slim ? y - 4 : y + 20, "font-weight": 600 },
        slim ? entry.name : clip(entry.name, left - 16),
      ),
    );
    root.append(
      svg(
        "text",
        { x: slim ? width - right : 12, y: slim ? y - 4 : y + 36, class: "soft", "text-anchor": slim ? "end" : null },
        plural(entry.calls.length, "call"),
      ),
    );
    if (entry.vm) life(root, entry.vm, x, y);
    if (entry.crowd) lives(root, entry.crowd, x, y + 6, 58);
    const drawn = new Set();
    for (const call of entry.calls) {
      const at = Math.round(x(call.begin) * 2) / 2,
        key = at + moodClass(call.mood);
      if (drawn.has(key)) continue;
      drawn.add(key);
      root.append(
        svg("line", {
          x1: at,
          x2: at,
          y1: y + 6,
          y2: y + 32,
          class: "tick " + ({ bad: "no", fatal: "fatal" }[call.mood] || ""),
        }),
      );
    }
    if (entry.vm) heap(root, entry.vm, x, y + 38, 26);
    root.append(
      svg("line", {
        x1: 0,
        x2: width,
        y1: y + row - (slim ? 22 : 4),
        y2: y + row - (slim ? 22 : 4),
        class: "gridline",
      }),
    );
  });
  axis(root, left, width - right, height - 8);
  const cursor = svg("line", { y1: top, y2: height - 24, class: "cursor" });
  root.append(cursor);
  const mark = () => {
    const at = x((data.calls[state.call] || { begin: data.begin }).begin);
    cursor.setAttribute("x1", at);
    cursor.setAttribute("x2", at);
  };
  cursors.run = mark;
  mark();
  root.addEventListener("click", (event) => {
    const box = root.getBoundingClientRect(),
      px = ((event.clientX - box.left) / box.width) * width,
      py = ((event.clientY - box.top) / box.height) * height;
    const entry = rows[Math.floor((py - top) / row)];
    if (entry && entry.calls.length)
      goTo(
        nearest(entry, (call) => x(call.begin), px),
        0,
      );
  });
  root.addEventListener("keydown", walkRun);
  return root;
}
// The call of a row that is nearest by some measure.
function nearest(entry, measure, to) {
  const best = entry.calls.reduce(
    (best, call) => (Math.abs(measure(call) - to) < Math.abs(measure(best) - to) ? call : best),
    entry.calls[0],
  );
  return data.calls.indexOf(best);
}
// The keys of the run: from call to call and from row to row.
function walkRun(event) {
  const call = data.calls[state.call],
    rows = timeline.rows.filter((entry) => entry.calls.length);
  if (!rows.length) return;
  const at = Math.max(
      0,
      rows.findIndex((entry) => entry.calls.includes(call)),
    ),
    place = rows[at].calls.indexOf(call);
  const along = (by) => {
    const next = rows[at].calls[place + by];
    return next && data.calls.indexOf(next);
  };
  const across = (by) => rows[at + by] && nearest(rows[at + by], (each) => each.begin, call.begin);
  const move = {
    ArrowLeft: () => along(-1),
    ArrowRight: () => along(1),
    ArrowUp: () => across(-1),
    ArrowDown: () => across(1),
    Home: () => along(-place),
    End: () => along(rows[at].calls.length - 1 - place),
  }[event.key];
  if (move) {
    event.preventDefault();
    const to = move();
    if (to !== undefined) show(to, 0);
  } else if (event.key === "Enter") {
    event.preventDefault();
    goTo(state.call, 0);
    lanes.root.focus({ preventScroll: true });
  }
}
const clip = (name, width) =>
  name.length * 7 > width ? name.slice(0, Math.max(3, Math.floor(width / 7) - 1)) + "…" : name;
// The stretches of time in which a VM had a partition in the TEE.
function partitions(vm) {
  const stretches = [];
  let begun = null;
  for (const [time, , what] of vm.changes) {
    if (what === "partition") begun = time;
    if (what === "gone" && begun !== null) {
      stretches.push([begun, time]);
      begun = null;
    }
  }
  if (begun !== null) stretches.push([begun, data.end]);
  return stretches;
}
// From when to when a VM was there for the hypervisor, if it made it.
function lifetime(vm) {
  const made = vm.changes.find((change) => change[2] === "made"),
    over = [...vm.changes].reverse().find((change) => change[2] === "over");
  return made ? [made[0], over ? over[0] : data.end] : null;
}
function life(root, vm, x, y) {
  const bar = (from, to, shape, at, height) =>
    root.append(svg("rect", { x: x(from), width: Math.max(1, x(to) - x(from)), y: at, height, rx: 3, class: shape }));
  const lived = lifetime(vm),
    running = vm.changes.find((change) => change[2] === "running");
  if (lived) bar(...lived, "life", y + 6, 26);
  if (lived && running) bar(running[0], lived[1], "life run", y + 6, 26);
  for (const [from, to] of partitions(vm)) bar(from, to, "part", y + 34, 3);
  for (const [time, words] of vm.changes) {
    root.append(
      svg("circle", { cx: x(time), cy: y + 35, r: 2.5, class: "f3" }, svg("title", {}, `${words}, at ${when(time)}`)),
    );
  }
}
// Many lives in one row, a line each.
function lives(root, vms, x, y, height) {
  vms.forEach((vm, n) => {
    const at = y + (vms.length > 1 ? n / (vms.length - 1) : 0) * height,
      lived = lifetime(vm);
    const line = ([from, to], shape) =>
      root.append(svg("line", { x1: x(from), x2: Math.max(x(to), x(from) + 1), y1: at, y2: at, class: shape }));
    if (lived) line(lived, "crowd run");
    else for (const stretch of partitions(vm)) line(stretch, "crowd");
  });
}
// The heap, as long as there is one: null says that it is gone with its partition.
function heap(root, vm, x, y, height) {
  const points = vm.heap.filter(([, known]) => known);
  if (!points.length) return;
  const most = Math.max(...points.map(([, [, peak]]) => peak), 1),
    at = (value) => y + height - (value / most) * height;
  const steps = (column, closed) => {
    let path = "",
      begun = null;
    const end = (time) => {
      if (begun !== null) path += `H${x(time)}` + (closed ? `V${y + height}H${x(begun)}Z` : "");
      begun = null;
    };
    for (const [time, known] of vm.heap) {
      if (!known) {
        end(time);
        continue;
      }
      path += begun === null ? `M${x(time)},${at(known[column])}` : `H${x(time)}V${at(known[column])}`;
      begun ??= time;
    }
    end(data.end);
    return path;
  };
  root.append(
    svg("path", { d: steps(0, true), class: "heapfill" }),
    svg("path", { d: steps(0), class: "heapline" }, svg("title", {}, "TEE heap in use")),
    svg("path", { d: steps(1), class: "peakline" }, svg("title", {}, "its peak")),
  );
}
function axis(root, from, to, y) {
  const count = to - from < 500 ? 3 : 6;
  for (let i = 0; i <= count; i++) {
    const value = Math.round(((data.end - data.begin) * i) / count);
    root.append(
      svg(
        "text",
        {
          x: from + ((to - from) * i) / count,
          y,
          class: "soft",
          "text-anchor": i === 0 ? "start" : i === count ? "end" : "middle",
        },
        short(value),
      ),
    );
  }
}
