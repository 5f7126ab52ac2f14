// SPDX-License-Identifier: MIT OR Apache-2.0
// The heading, and what was expected.
function heading() {
  const good = data.verdict === "PASS";
  const fact = ([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
  return el(
    "header",
    { class: "top" },
    el("div", { class: "brand" }, "Triptych · run report"),
    el("h1", {}, data.name, el("span", { class: "verdict " + (good ? "good" : "bad"), id: "verdict" }, data.verdict)),
    el("p", { class: "lead" }, data.summary),
    el("dl", { class: "facts" }, data.facts.map(fact)),
  );
}
function contents(ids) {
  return el(
    "nav",
    { class: "toc", "aria-label": "Contents" },
    ids.map(([id, name]) => el("a", { href: "#" + id }, name)),
  );
}
function expectations() {
  if (!data.expectations.length) return null;
  const held = data.expectations.filter((claim) => claim.holds).length;
  const row = (claim) =>
    el(
      "li",
      {},
      el(
        "span",
        { class: "mark " + (claim.holds ? "good" : "bad"), "aria-label": claim.holds ? "holds" : "does not hold" },
        claim.holds ? "✓" : "✗",
      ),
      el("div", {}, el("p", {}, claim.claim), el("p", { class: "evidence" }, claim.evidence)),
    );
  return section(
    "expected",
    "What was expected",
    `${held} of ${data.expectations.length} hold. Below each, the line that shows it.`,
    el("ol", { class: "claims" }, data.expectations.map(row)),
  );
}
