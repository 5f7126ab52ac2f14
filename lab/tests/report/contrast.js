// SPDX-License-Identifier: MIT OR Apache-2.0
// Every text of the page that has less contrast to what it stands on than WCAG 2.1 asks of small text (1.4.3: 4.5 to
// 1).
(() => {
  const colour = (words) => {
    const numbers =
      words.match(/[\d.]+(?:e-?\d+)?%?/g)?.map((n) => (n.endsWith("%") ? parseFloat(n) / 100 : parseFloat(n))) ?? [];
    if (words.startsWith("color(srgb")) return [numbers[0] * 255, numbers[1] * 255, numbers[2] * 255, numbers[3] ?? 1];
    if (words.startsWith("rgb")) return [numbers[0], numbers[1], numbers[2], numbers[3] ?? 1];
    if (words === "transparent" || words === "none") return [0, 0, 0, 0];
    throw new Error("what colour is " + words);
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const light = ([r, g, b]) => {
    const part = (v) => {
      v /= 255;
      return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    };
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const ratio = (a, b) => {
    const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  };
  const opacity = (node) => {
    let all = 1;
    for (; node instanceof Element; node = node.parentElement) all *= parseFloat(getComputedStyle(node).opacity);
    return all;
  };
  const faded = (c, node) => [c[0], c[1], c[2], c[3] * opacity(node)];
  // What several layers come to, the topmost first.
  const ground = (layers) => layers.reduceRight((under, top) => over(top, under), [255, 255, 255, 1]);
  const behind = (node) => {
    const layers = [];
    for (; node instanceof Element; node = node.parentElement)
      layers.push(colour(getComputedStyle(node).backgroundColor));
    return ground(layers);
  };
  const beneath = (text, x, y) => {
    const layers = [];
    for (const node of document.elementsFromPoint(x, y)) {
      if (
        node === text ||
        (node.contains(text) && !(node instanceof SVGSVGElement) && node instanceof SVGElement) ||
        node.tagName === "text"
      )
        continue;
      // A line has no ground.
      if (node.tagName === "line") continue;
      const style = getComputedStyle(node),
        paint = node instanceof SVGElement && !(node instanceof SVGSVGElement) ? style.fill : style.backgroundColor;
      const c = colour(paint);
      layers.push([
        c[0],
        c[1],
        c[2],
        c[3] * parseFloat(style.opacity) * (node instanceof SVGElement ? parseFloat(style.fillOpacity) : 1),
      ]);
    }
    return ground(layers);
  };
  const poor = new Map();
  let seen = 0;
  const judge = (what, words, front, back) => {
    seen++;
    const found = ratio(over(front, back), back);
    if (found >= 4.5) return;
    const key = `${what}: ${found.toFixed(2)} of ${front.map(Math.round)} on ${back.map(Math.round)}`;
    if (!poor.has(key)) poor.set(key, words.trim().slice(0, 40));
  };
  const name = (node) => {
    const path = [];
    for (let n = node; n instanceof Element && path.length < 4; n = n.parentElement)
      path.unshift(n.tagName.toLowerCase() + [...n.classList].map((c) => "." + c).join(""));
    return path.join(" ");
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walk.nextNode(); text; text = walk.nextNode()) {
    const node = text.parentElement;
    if (
      !text.data.trim() ||
      /^(SCRIPT|STYLE|NOSCRIPT|OPTION|title|desc)$/.test(node.tagName) ||
      !node.checkVisibility()
    )
      continue;
    const style = getComputedStyle(node);
    if (!(node instanceof SVGElement)) {
      judge(name(node), text.data, faded(colour(style.color), node), behind(node));
      continue;
    }
    const box = node.getBoundingClientRect(),
      y = box.top + box.height / 2,
      frame = node.ownerSVGElement.getBoundingClientRect();
    for (const x of [box.left + 2, box.left + box.width / 2, box.right - 2]) {
      if (x < frame.left || x > frame.right || y < 0 || y > innerHeight) continue;
      judge(name(node), text.data, faded(colour(style.fill), node), beneath(node, x, y));
    }
  }
  for (const node of document.querySelectorAll("input[type=search], select, button")) {
    if (!node.checkVisibility()) continue;
    judge(name(node), node.value || node.textContent, faded(colour(getComputedStyle(node).color), node), behind(node));
    if (node.placeholder)
      judge(
        name(node) + "::placeholder",
        node.placeholder,
        faded(colour(getComputedStyle(node, "::placeholder").color), node),
        behind(node),
      );
  }
  for (const node of document.querySelectorAll("ol.path li")) {
    const style = getComputedStyle(node, "::before");
    judge(name(node) + "::before", "number", colour(style.color), over(colour(style.backgroundColor), behind(node)));
  }
  return { seen, poor: [...poor].map(([key, words]) => `${key}: "${words}"`) };
})();
