// SPDX-License-Identifier: MIT OR Apache-2.0
// A card for each VM that has something to tell, and a table of the others.
function vms() {
  if (!data.vms.length) return null;
  return section(
    "vms",
    "VMs",
    `Why each left the CPU, and what the hypervisor spent on it in ${unit}; the heap that the TEE keeps for it.`,
    el("div", { class: "cards" }, soloists.map(vmCard)),
    crowd.length ? crowdTable() : null,
  );
}
// What was known last of a VM's heap.
const lastHeap = (vm) => vm.heap.filter(([, known]) => known).at(-1)?.[1];
function vmCard(vm) {
  const last = lastHeap(vm),
    shared = vm.shared[vm.shared.length - 1];
  const figure = (value, name) => el("div", {}, el("b", {}, value), name);
  const most = Math.max(1, ...vm.exits.map((exit) => exit[1]));
  // The first exits of a reason are kept, with their registers.
  const sample = (name) => data.calls.findIndex((call) => call.exit && call.vm === vm.id && call.title === name);
  const reason = (name) => {
    const index = sample(name);
    return index < 0
      ? name
      : el("button", { type: "button", class: "link-button", onclick: () => goTo(index, 0) }, name);
  };
  const exitRow = ([name, times, ticks]) => [reason(name), number(times), number(ticks), bar(times / most, 1)];
  const changes = vm.changes
    .slice(0, 12)
    .map(([time, words], i) => [
      i ? " → " : "",
      words,
      el("span", { class: "soft" }, ` ${short(Math.max(0, time - data.begin))}`),
    ]);
  return el(
    "article",
    { class: "card pad" },
    el("h3", {}, vm.name, chip("client id " + vm.id, 0), vm.kernel ? el("span", { class: "soft" }, vm.kernel) : null),
    el(
      "div",
      { class: "big" },
      figure(short(vm.ticks), unit + " at EL1"),
      figure(number(vm.calls), "calls"),
      figure(number(vm.refusals), "refusals"),
      last ? figure(bytes(last[1]), `heap's peak of ${bytes(last[2])}`) : null,
      shared ? figure(number(shared[2]), "pages shared") : null,
    ),
    vm.changes.length
      ? el(
          "p",
          { class: "note" },
          changes,
          vm.changes.length > 12 ? ` and ${number(vm.changes.length - 12)} more` : null,
        )
      : null,
    vm.exits.length
      ? [
          el("h3", {}, "Exits"),
          table([["reason"], ["times", true], ["EL2", true], [""]], vm.exits.slice(0, 14).map(exitRow)),
          vm.exits.length > 14 ? el("p", { class: "soft" }, `and ${vm.exits.length - 14} rarer reasons`) : null,
        ]
      : null,
    vm.interrupts.length
      ? [
          el("h3", {}, "Virtual interrupts"),
          table(
            [["INTID"], ["times", true]],
            vm.interrupts.slice(0, 10).map(([intid, name, times]) => [`${intid} ${name}`, number(times)]),
          ),
        ]
      : null,
  );
}
// The others, a row each: when they were there, and their sums.
function crowdTable() {
  const row = (vm) => {
    const there = lifetime(vm),
      stretches = there ? [there] : partitions(vm),
      heap = lastHeap(vm);
    const lived = stretches.map(
      ([from, to]) =>
        `${short(Math.max(0, from - data.begin))} to ${to === data.end ? "the end" : short(to - data.begin)}`,
    );
    return [
      vm.name,
      lived.slice(0, 3).join(", ") + (lived.length > 3 ? ", …" : ""),
      number(vm.calls),
      number(vm.refusals),
      short(vm.ticks),
      heap ? bytes(heap[1]) : "",
    ];
  };
  const name = `The ${number(crowd.length)} others`;
  return el(
    "div",
    { class: "card crowd-table" },
    el("h3", {}, name),
    el(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": name },
      table(
        [["VM"], ["there from"], ["calls", true], ["refusals", true], ["at EL1", true], ["heap's peak", true]],
        crowd.map(row),
      ),
    ),
  );
}
function bar(share, level) {
  const node = el("span", { class: "bar b" + level, "aria-hidden": "true" });
  node.style.display = "block";
  node.style.width = Math.max(1, share * 60) + "px";
  node.style.marginTop = ".5rem";
  return node;
}
