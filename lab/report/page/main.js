// SPDX-License-Identifier: MIT OR Apache-2.0
// Puts the page together.
function page() {
  const sections = [panics(), expectations(), run(), calls(), memory(), vms(), consoleLines(), measured()].filter(
    Boolean,
  );
  const names = {
    panic: "Panic",
    expected: "Expected",
    run: "Run",
    calls: "Calls",
    memory: "Memory",
    vms: "VMs",
    console: "Console",
    measured: "Measured",
  };
  document
    .getElementById("page")
    .replaceChildren(
      heading(),
      contents(sections.map((part) => [part.id, names[part.id]])),
      el("main", {}, sections),
      el("footer", {}, "One file, drawn by itself; it asks nothing of any network."),
    );
  if (data.calls.length) {
    lanes.width = Math.max(280, lanes.root.clientWidth);
    state.call = data.first;
    filter();
    select(state.call, 0, true);
  }
  drawings.forEach((draw) => draw());
  state.ready = true;
  openLink();
  addEventListener("hashchange", openLink);
  // For tests: how far the page is wider than its window.
  document.documentElement.dataset.overflow = String(Math.max(0, document.body.scrollWidth - innerWidth));
  document.documentElement.dataset.ready = `calls=${asked().length}`;
}
page();
