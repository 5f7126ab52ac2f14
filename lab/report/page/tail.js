// SPDX-License-Identifier: MIT OR Apache-2.0
// The console, and how all this was measured.
function consoleLines() {
  if (!data.console.length) return null;
  const list = el("ol", { class: "console", id: "console-list" }),
    input = el("input", { type: "search", placeholder: "Search the lines…", "aria-label": "Search the console" });
  const speakers = [...new Set(data.console.map(([speaker]) => speaker))];
  const who = el(
    "select",
    { "aria-label": "Who says it" },
    el("option", { value: "" }, "Everybody"),
    speakers.map((speaker) => el("option", { value: speaker }, speaker)),
  );
  const show = () => {
    const words = input.value.toLowerCase();
    const found = data.console.filter(
      ([speaker, said]) => (!who.value || speaker === who.value) && said.toLowerCase().includes(words),
    );
    const line = ([speaker, said]) => {
      const level = speakerLevel(speaker),
        name = el("b", {}, speaker);
      if (level >= 0) name.style.color = `var(${["--el1-t", "--el2-t", "--el3-t", "--tee-t"][level]})`;
      return el("li", {}, name, el("span", {}, said));
    };
    list.replaceChildren(...found.slice(0, 3000).map(line));
    if (!found.length) list.append(el("li", { class: "soft" }, "", el("span", {}, "nothing of that kind was said")));
  };
  input.addEventListener("input", show);
  who.addEventListener("input", show);
  show();
  return section(
    "console",
    "The console",
    data.consoleMore ? `${number(data.consoleMore)} lines in the middle are left out.` : null,
    el(
      "div",
      { class: "card" },
      el("div", { class: "tools" }, input, who),
      el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Lines of the console" }, list),
    ),
  );
}
function measured() {
  const m = data.measured,
    records = m.records.reduce((sum, [, count]) => sum + count, 0);
  const notes = [
    data.instructions
      ? "The machine ran under QEMU's -icount with a counter of 1 GHz: a tick of the counter is an executed " +
        "instruction, and the same run repeats exactly."
      : `The machine ran in real time: figures are ticks of a counter of ${number(data.frequency)} Hz and not ` +
        "instructions. Differences between two runs mean nothing.",
    "A step begins with the record that names it and ends with the next record of the same CPU. Where one level " +
      "hands over to another, the instructions before the receiver's first record count for the sender's last step.",
    "What writing a record takes was measured by each layer when it began, and is taken off each step once. One " +
      "in the middle of a call takes up to ten instructions more than that: it has registers to load and to save.",
  ];
  const losses = [
    [m.lost, "overwritten before they were read"],
    [m.missing, "missing in the layers' numbering"],
    [m.damaged, "damaged"],
    [m.dropped, "of very long traces not kept here"],
  ].filter(([count]) => count);
  return section(
    "measured",
    "How this was measured",
    null,
    el(
      "div",
      { class: "cards" },
      el(
        "div",
        { class: "card pad" },
        el("h3", {}, plural(records, "record")),
        notes.map((note) => el("p", { class: "soft" }, note)),
        el(
          "p",
          { class: losses.length ? "wait" : "good" },
          losses.length
            ? losses.map(([count, words]) => `${plural(count, "record")} ${words}`).join("; ") + "."
            : "No record was lost or damaged.",
        ),
      ),
      el(
        "div",
        { class: "card pad" },
        el("h3", {}, "What tracing took"),
        table(
          [["layer"], ["records", true], [unit + " each", true], ["in all", true]],
          m.costs.map(([layer, count, each]) => [layer, number(count), number(each), number(count * each)]),
        ),
        el("h3", {}, "Where the rest went"),
        table(
          [["level"], [unit, true]],
          LEVELS.map((name, level) => [`${name}, ${data.who[level]}`, number(m.ticks[level])]),
        ),
      ),
    ),
    el(
      "details",
      {},
      el("summary", {}, "Records by kind"),
      table(
        [["kind"], ["records", true]],
        m.kinds.map(([kind, count]) => [kind, number(count)]),
      ),
    ),
    m.minor.length
      ? el(
          "details",
          { open: m.minor.length < 8 },
          el("summary", {}, "Calls that are only counted: they never left EL2, and there are many"),
          table(
            [["caller"], ["function"], ["calls", true], [unit, true]],
            m.minor.map(([caller, name, count, ticks]) => [caller, name, number(count), number(ticks)]),
          ),
        )
      : null,
  );
}
