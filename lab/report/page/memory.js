// SPDX-License-Identifier: MIT OR Apache-2.0
// Whose memory is whose, moving with time.
const OWNERS = [
  ["free", "--free"],
  ["monitor", "--el3"],
  ["TEE nexus", "--tee"],
  ["TEE partition", "--tee"],
  ["hypervisor", "--el2"],
  ["VM", "--el1"],
  ["shared with the TEE", "--bad"],
  ["shadow messages", "--el2"],
  ["to be scrubbed", "--faint"],
];
const [FREE, PARTITION, VM, SHARED, SHADOW] = [0, 3, 5, 6, 7];
function memory() {
  const changes = data.memory.changes;
  if (!changes.length) return null;
  const regions = regionsOf(changes);
  const range = el("input", {
    type: "range",
    min: 0,
    max: changes.length,
    step: 1,
    value: changes.length,
    "aria-label": "How many changes have happened",
  });
  const what = el("div", { class: "what" }),
    map = el("div", { class: "map" }),
    owned = el("tbody");
  const play = el("button", { class: "plain", type: "button" }, "Play");
  let timer = 0;
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
  };
  const show = () => {
    const count = Number(range.value),
      last = changes[count - 1];
    what.replaceChildren(
      ...(last
        ? [
            el("span", { class: "mono soft" }, `${number(count)} of ${number(changes.length)} `),
            `at ${when(last[0])}: `,
            el("b", {}, ownerName(last)),
            ` gets ${bytes(last[4])} at `,
            el("span", { class: "mono" }, hex(last[3])),
            last[5] ? ` (IPA ${hex(last[5])})` : "",
          ]
        : ["before the first record"]),
    );
    regions.forEach((region) => paint(region, changes, count));
    owned.replaceChildren(
      ...ownersAt(changes, count).map(([name, pieces, size]) =>
        el(
          "tr",
          {},
          el("td", {}, name),
          el("td", { class: "num" }, number(pieces)),
          el("td", { class: "num" }, bytes(size)),
        ),
      ),
    );
  };
  // The map shows the time of the call that is selected.
  cursors.memory = () => {
    const call = data.calls[state.call];
    if (!call || timer) return;
    const after = changes.findIndex((change) => change[0] > call.end);
    range.value = after < 0 ? changes.length : after;
    show();
  };
  range.addEventListener("input", () => {
    stop();
    show();
  });
  play.addEventListener("click", () => {
    if (timer) {
      stop();
      return;
    }
    if (Number(range.value) === changes.length) range.value = 0;
    play.textContent = "Pause";
    const stride = Math.max(1, Math.ceil(changes.length / 160));
    timer = setInterval(() => {
      range.value = Math.min(changes.length, Number(range.value) + stride);
      show();
      if (Number(range.value) >= changes.length) stop();
    }, 110);
  });
  for (const region of regions) {
    map.append(
      el(
        "div",
        { class: "region" },
        el(
          "div",
          { class: "where" },
          region.name,
          el("span", { class: "mono" }, `${hex(region.base)} · ${bytes(region.end - region.base)}`),
        ),
        el("div", { class: "strip" }, region.canvas),
      ),
    );
  }
  onWidth(map, show);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  const used = [...new Set(changes.map((change) => change[1]))].sort((a, b) => a - b);
  const key = el(
    "div",
    { class: "legend" },
    used
      .filter((owner) => owner !== FREE)
      .map((owner) => {
        const swatch = el("i", { class: "swatch" });
        swatch.style.background = `var(${OWNERS[owner][1]})`;
        swatch.style.opacity = opacity(owner);
        return el("span", {}, swatch, OWNERS[owner][0]);
      }),
  );
  const more = data.memory.more ? ` ${number(data.memory.more)} later changes are not kept.` : "";
  return section(
    "memory",
    "Who owns the memory",
    "Physical memory as the layers say that it changes hands; each bar to scale in itself. Move the slider " +
      "through time." +
      more,
    el("div", { class: "card" }, el("div", { class: "slider" }, play, range, what), map, key),
    el(
      "details",
      {},
      el("summary", {}, "The same as a table, at the slider's time"),
      el(
        "table",
        { class: "list" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            el("th", {}, "owner"),
            el("th", { class: "num" }, "pieces"),
            el("th", { class: "num" }, "memory"),
          ),
        ),
        owned,
      ),
    ),
  );
}
const ownerName = ([, owner, vm]) =>
  owner === FREE
    ? "nobody"
    : owner === VM
      ? vmName(vm)
      : [PARTITION, SHARED, SHADOW].includes(owner)
        ? `${OWNERS[owner][0]} (${vmName(vm)})`
        : OWNERS[owner][0];
const vmName = (id) => (data.vms.find((vm) => vm.id === id) || { name: "vm" + id }).name;
const opacity = (owner) => (owner === PARTITION ? 0.62 : owner === SHADOW ? 0.55 : 1);
// Stretches of memory that ever had an owner, larger ones by name.
function regionsOf(changes) {
  const fixed = [
    ["secure SRAM, monitor", 0x0e000000, 0x0e100000],
    ["secure SRAM, TEE", 0x0e100000, 0x0f000000],
  ];
  const ranges = changes
    .map((change) => [change[3], change[3] + change[4]])
    .filter(([base]) => !fixed.some(([, from, to]) => base >= from && base < to))
    .sort((a, b) => a[0] - b[0]);
  const merged = [];
  for (const [base, end] of ranges) {
    const last = merged[merged.length - 1];
    if (last && base <= last[1] + 0x100000) last[1] = Math.max(last[1], end);
    else merged.push([base, end]);
  }
  const nameOf = (base, end) => {
    const inside = changes.filter((change) => change[3] >= base && change[3] < end && change[1] !== FREE),
      names = [
        ...new Set(
          inside.map((change) => (change[1] === VM || change[1] === SHARED ? vmName(change[2]) : OWNERS[change[1]][0])),
        ),
      ];
    return names.length > 3 ? `DRAM of ${plural(names.length, "owner")}` : names.join(", ") || "DRAM";
  };
  const used = fixed.filter(([, from, to]) => changes.some((change) => change[3] >= from && change[3] < to));
  return [...used, ...merged.slice(0, 40).map(([base, end]) => [nameOf(base, end), base, end])].map(
    ([name, base, end]) => ({
      name,
      base,
      end,
      canvas: el("canvas", { role: "img", "aria-label": `${name}: who owns it` }),
    }),
  );
}
function paint(region, changes, count) {
  const canvas = region.canvas,
    width = canvas.clientWidth || 300,
    height = 30,
    ratio = devicePixelRatio || 1;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const context = canvas.getContext("2d"),
    style = getComputedStyle(document.documentElement);
  context.scale(ratio, ratio);
  const labels = [];
  const size = region.end - region.base;
  for (let i = 0; i < count; i++) {
    const [, owner, vm, base, length] = changes[i];
    if (base >= region.end || base + length <= region.base) continue;
    const from = Math.max(0, ((base - region.base) / size) * width),
      wide = Math.max(
        owner === FREE ? 0.5 : 1.5,
        Math.min(width, ((base + length - region.base) / size) * width) - from,
      );
    const small = owner === SHARED ? 5 : 0;
    context.clearRect(from, small, wide, height - 2 * small);
    for (let n = labels.length - 1; n >= 0; n--)
      if (!small && labels[n].from < from + wide && labels[n].to > from) labels.splice(n, 1);
    if (owner === FREE) continue;
    context.globalAlpha = opacity(owner) * (owner === VM || owner === PARTITION ? 1 - (vm % 3) * 0.22 : 1);
    context.fillStyle = style.getPropertyValue(OWNERS[owner][1]);
    context.fillRect(from, small, wide, height - 2 * small);
    context.globalAlpha = 1;
    if (wide > 60 && (owner === VM || owner === PARTITION)) labels.push({ from, to: from + wide, name: vmName(vm) });
  }
  canvas.parentNode.replaceChildren(
    canvas,
    ...labels.map(({ from, to, name }) => {
      const label = el("span", {}, name);
      label.style.left = from + 6 + "px";
      label.style.maxWidth = to - from - 12 + "px";
      label.style.overflow = "hidden";
      return label;
    }),
  );
}
// Sums by owner: each change takes the range from whoever had it.
function ownersAt(changes, count) {
  let pieces = [];
  for (const [, owner, vm, base, size] of changes.slice(0, count)) {
    const end = base + size,
      next = [];
    for (const piece of pieces) {
      if (piece[1] <= base || piece[0] >= end) {
        next.push(piece);
        continue;
      }
      if (piece[0] < base) next.push([piece[0], base, piece[2]]);
      if (piece[1] > end) next.push([end, piece[1], piece[2]]);
    }
    if (owner !== FREE) next.push([base, end, ownerName([0, owner, vm])]);
    pieces = next;
  }
  const sums = new Map();
  for (const [base, end, name] of pieces) {
    const sum = sums.get(name) || [name, 0, 0];
    sum[1]++;
    sum[2] += end - base;
    sums.set(name, sum);
  }
  return [...sums.values()].sort((a, b) => b[2] - a[2]);
}
