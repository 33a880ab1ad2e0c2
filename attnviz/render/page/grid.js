// Several pictures of one photo side by side: rows (modes, models, layers) by words.

const CELL = 320;  // pixels of a picture's longest side

function tag(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// Fills the explorer's grid with cells: of every row the word that is shown, or with `whole` all words.
function fillGrid(explorer, whole) {
  const { data, several } = explorer, root = explorer.get("grid"), matrix = several && whole;
  const words = whole ? data.words.map((word, index) => index) : [null];  // null: whichever is shown
  root.style.setProperty("--words", words.length);
  root.classList.toggle("matrix", matrix);
  root.classList.toggle("few", !whole);
  explorer.cells = [];
  const parts = matrix ? [tag("span", "corner", ""), ...data.words.map((word) => tag("span", "head", word))] : [];
  data.rows.forEach((row, index) => {
    if (matrix) parts.push(tag("span", "label", row.label));
    for (const word of words) parts.push(cellOf(explorer, index, word, matrix ? null : several ? row.label : data.words[word]));
  });
  root.replaceChildren(...parts);
  root.onkeydown = (event) => fromCellToCell(explorer.cells.map(({ cell }) => cell), words.length, event);
}

function cellOf(explorer, row, word, title) {
  const { data, several } = explorer, cell = tag("button", "cell"), picture = tag("canvas", "picture");
  const own = tag("span", "own"), bar = Object.assign(tag("canvas", "bar"), { width: 128, height: 1 }), number = tag("span", "number");
  cell.type = "button";
  own.append(bar, number);
  cell.append(picture, ...(title === null ? [] : [tag("span", "title", title)]), own);
  const shown = () => (word === null ? explorer.step : word);
  cell.setAttribute("aria-label", [word === null ? "this word" : data.words[word], several ? data.rows[row].label : ""].filter(Boolean).join(", "));
  const point = () => {
    if (explorer.timer) return;
    if (row !== explorer.row) explorer.setRow(row);
    explorer.show(shown());
  };
  cell.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") point(); });
  cell.addEventListener("focus", () => { if (cell.matches(":focus-visible")) point(); });
  cell.addEventListener("click", () => {
    explorer.play(false);
    explorer.setRow(row);
    explorer.setView("one");
    explorer.choose(shown());
  });
  explorer.cells.push({ cell, picture, own, bar, number, row, word });
  return cell;
}

// Arrow keys go to the cell beside, above or below.
function fromCellToCell(cells, wide, event) {
  const at = cells.indexOf(document.activeElement);
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: wide, ArrowUp: -wide }[event.key];
  if (at < 0 || step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
  const along = event.key === "ArrowRight" || event.key === "ArrowLeft";
  if (!along || Math.floor((at + step) / wide) === Math.floor(at / wide)) cells[at + step]?.focus();
  event.preventDefault();
}

// Paints the cells; each has a bar of its own where the scale is each picture's own.
function drawCells(explorer, table) {
  const { data } = explorer, [height, width] = data.size, share = Math.min(1, CELL / Math.max(height, width));
  const size = { height: Math.max(1, Math.round(height * share)), width: Math.max(1, Math.round(width * share)) };
  const layer = Object.assign(document.createElement("canvas"), size).getContext("2d");
  for (const { cell, picture, own, bar, number, row, word } of explorer.cells) {
    const at = word === null ? explorer.shown : word, scale = explorer.scaleAt(row, at), pen = picture.getContext("2d");
    Object.assign(picture, size);
    explorer.paintOn(layer, row, at, table);
    pen.drawImage(explorer.get("photo"), 0, 0, size.width, size.height);
    pen.drawImage(layer.canvas, 0, 0);
    own.hidden = explorer.scale !== "step";
    if (!own.hidden) drawBar(bar, data, scale, table);
    number.textContent = `${+scale.top.toPrecision(3)}`;
    cell.classList.toggle("unsure", data.rows[row].unsure[at]);
    cell.classList.toggle("shown", row === explorer.row && at === explorer.shown);
  }
}
