// The chart of probability and entropy, a column for each drawn word.

function svg(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function chartOf(mode, labels, choose) {
  const known = mode.probabilities !== null, width = 320, row = 44, left = 4, top = 21;
  const height = (known ? 2 : 1) * (row + top) + 2, most = Math.log(mode.grid[0] * mode.grid[1]);
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
  const pitch = (width - 2 * left) / labels.length, bar = Math.max(1, Math.min(pitch * 0.72, 22));
  const parts = [];
  if (known) parts.push({ title: "probability, 0 to 1", values: mode.probabilities, kind: "value", most: 1 });
  parts.push({ title: `entropy, 0 to ${most.toFixed(2)} nats (all cells alike)`, values: mode.entropy, kind: "entropy", most });
  picture.setAttribute("aria-label", "Bars for each word: " + parts.map((part) => part.title).join("; "));
  const columns = labels.map((label) => { const g = svg("g"); g.append(svg("title", {}, label)); return g; });
  parts.forEach((part, number) => {
    const base = (number + 1) * (row + top);
    picture.append(svg("text", { x: left, y: base - row - 6 }, part.title));
    picture.append(svg("line", { x1: left, x2: width - left, y1: base - row - 0.5, y2: base - row - 0.5, class: "most" }));
    picture.append(svg("line", { x1: left, x2: width - left, y1: base + 0.5, y2: base + 0.5 }));
    part.values.forEach((value, i) => {
      const high = part.most > 0 ? Math.max(0, Math.min(1, value / part.most)) * row : 0;
      columns[i].append(svg("rect", {
        class: part.kind, x: (left + i * pitch + (pitch - bar) / 2).toFixed(2), y: (base - high).toFixed(2),
        width: bar.toFixed(2), height: high.toFixed(2),
      }));
    });
  });
  columns.forEach((column, i) => {
    const hit = svg("rect", { class: "hit", x: (left + i * pitch).toFixed(2), y: 0, width: pitch.toFixed(2), height });
    hit.addEventListener("click", () => choose(i));
    column.append(hit);
    picture.append(column);
  });
  return { picture, columns };
}
