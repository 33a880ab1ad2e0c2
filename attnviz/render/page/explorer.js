// The explorer of one photo: words, keys, switches, and the pictures that they show.

const calm = matchMedia("(prefers-reduced-motion: reduce)"), hoverless = matchMedia("(hover: none)");

class Explorer {
  // `root` holds the explorer's markup. `ready` is a promise; after `close` nothing is listened to any more.
  constructor(root, data) {
    Object.assign(this, { root, data, count: data.steps.length, axes: new Map(), densities: [], buttons: [], cells: [] });
    Object.assign(this, { step: 0, shown: 0, row: 0, view: "one", timer: null, pointed: null, touch: hoverless.matches });
    Object.assign(this, { scale: data.scale, bare: data.cells, opacity: data.opacity, over: new AbortController() });
    this.overlay = this.get("overlay").getContext("2d");
    this.ready = this.begin();
  }

  get(id) { return this.root.querySelector(`#${id}`); }
  text(id, value) { this.get(id).textContent = value; }
  listen(target, name, heard) { target.addEventListener(name, heard, { signal: this.over.signal }); }
  get several() { return this.data.rows.length > 1; }
  get now() { return this.data.rows[this.row]; }

  async begin() {
    const { data } = this;
    this.text("name", data.name);
    this.text("foot", `Attention tells where the network took its input from at a word. It does not prove why the word was chosen. Made by attnviz ${data.version}.`);
    this.get("photo").alt = `${data.name}: ${data.tokens.join(" ")}`;
    if (data.photo) this.get("photo").src = data.photo;
    [this.overlay.canvas.height, this.overlay.canvas.width] = data.size;
    if (typeof DecompressionStream === "undefined") { this.text("status", "This browser is too old to draw the heatmaps."); return; }
    this.densities = await Promise.all(data.rows.map(densitiesOf));
    if (this.over.signal.aborted) return;
    this.sentence();
    this.switches();
    this.buttonsAndKeys();
    this.listenToPointer();
    this.setRow(0);
    this.choose(0);
    this.fold();
    await this.get("photo").decode().catch(() => {});  // pictures beside each other are drawn from it
  }

  close() { this.play(false); this.over.abort(); }

  // The axes of a row's grid on a picture of some size.
  axesOf(index, size) {
    const key = `${index} ${this.bare} ${size}`, row = this.data.rows[index];
    if (!this.axes.has(key)) {
      const [rows, columns] = [0, 1].map((axis) => axisOf(row.frame, axis, row.grid[axis], size[axis], this.bare));
      this.axes.set(key, [Object.assign(rows, { cells: row.grid[0] }), columns]);
    }
    return this.axes.get(key);
  }

  scaleAt(row, word) { return scaleOf(this.data, this.scale, row, word); }

  paintOn(context, row, word, table) {
    const [rows, columns] = this.axesOf(row, [context.canvas.height, context.canvas.width]);
    paint(context, rows, columns, this.densities[row][word], this.scaleAt(row, word), table, shadow(this.data.unseen));
  }

  draw() {
    const table = tableOf(this.data.colours, this.data.strength, this.opacity), { unsure } = this.now;
    if (this.view === "one") this.paintOn(this.overlay, this.row, this.shown, table); else drawCells(this, table);
    this.showBar(table);
    this.buttons.forEach((button, i) => {
      button.classList.toggle("shown", i === this.shown);
      button.classList.toggle("unsure", unsure[i]);
      button.title = unsure[i] ? `unsure: p = ${this.now.probabilities[i].toFixed(2)}` : "";
      if (i === this.step) button.setAttribute("aria-current", "step"); else button.removeAttribute("aria-current");
    });
    this.chart.columns.forEach((column, i) => column.classList.toggle("shown", i === this.shown));
    const { verdicts } = this.now;
    this.get("verdict").hidden = verdicts === null;
    if (verdicts) this.text("verdict", `“${this.data.words[this.shown]}”, tested: ${verdicts[this.shown].join(". ")}.`);
    const where = this.several ? `, ${this.data.kind.toLowerCase()} ${this.now.label}` : "";
    this.text("status", `Word ${this.shown + 1} of ${this.count}: “${this.data.words[this.shown]}”, ${this.numbers()}${where}.`);
    this.readPointer();
  }

  numbers() {
    const row = this.now, i = this.shown, parts = [];
    if (row.probabilities) parts.push(`p = ${row.probabilities[i].toFixed(2)}${row.unsure[i] ? " (unsure)" : ""}`);
    parts.push(`entropy ${row.entropy[i].toFixed(2)} nats (${Math.exp(row.entropy[i]).toFixed(1)} effective cells)`);
    return parts.join(", ");
  }

  showBar(table) {
    const scale = this.scaleAt(this.row, this.shown), range = rangeOf(this.data, this.scale);
    const least = scale.doubling ? +scale.bottom.toPrecision(3) : `${100 * this.data.threshold} %`;
    drawBar(this.get("bar"), this.data, scale, table);
    this.get("ticks").replaceChildren(...marksOf(this.data, this.scale, scale));
    this.text("bartitle", `${this.data.quantity}, times uniform; ${range}; nothing is painted below ${least}`);
    const ends = `from ${scale.doubling ? least : 0} to ${+scale.top.toPrecision(3)} times uniform`;
    this.get("scalebar").setAttribute("aria-label", `Colour bar ${ends}, ${range}`);
  }

  show(word) { this.shown = word; this.draw(); }

  choose(word) {
    this.step = Math.min(Math.max(word, 0), this.count - 1);
    this.show(this.step);
  }

  // Whoever asked the system for less motion gets slower steps, and no round after round.
  advance() {
    if (calm.matches && this.step === this.count - 1) this.play(false);
    else this.choose((this.step + 1) % this.count);
  }

  play(on) {
    const seconds = calm.matches ? Math.max(2, this.data.duration) : this.data.duration;
    clearInterval(this.timer);
    this.timer = on ? setInterval(() => this.advance(), seconds * 1000) : null;
    this.get("status").setAttribute("aria-live", on ? "off" : "polite");
    this.get("play").setAttribute("aria-pressed", String(on));
    this.text("play", on ? "Pause" : "Play");
  }

  sentence() {
    const parts = this.data.tokens.map((token, index) => {
      const at = this.data.steps.indexOf(index), word = document.createElement(at < 0 ? "span" : "button");
      word.textContent = token;
      word.dir = "auto";
      if (at < 0) return word;
      word.type = "button";
      this.listen(word, "pointerenter", (event) => { if (event.pointerType === "mouse" && !this.timer) this.show(at); });
      this.listen(word, "pointerleave", () => { if (this.shown !== this.step) this.show(this.step); });
      this.listen(word, "click", () => { this.play(false); this.choose(at); });
      this.buttons.push(word);
      return word;
    });
    this.get("sentence").replaceChildren(...parts);
  }

  radios(id, options, chosen, change) {
    const labels = options.map(([value, shown]) => {
      const label = document.createElement("label"), input = document.createElement("input");
      Object.assign(input, { type: "radio", name: id, value, checked: value === chosen });
      this.listen(input, "change", () => { change(value); this.draw(); });
      label.append(input, document.createTextNode(shown));
      return label;
    });
    this.get(id).append(...labels);
  }

  mark(id, value) { for (const input of this.get(id).querySelectorAll("input")) input.checked = input.value === value; }

  setRow(index) {
    this.row = index;
    const { model, mode, notes } = this.now;
    this.chart = chartOf(this.now, this.data.words, (i) => { this.play(false); this.choose(i); });
    this.get("chart").replaceChildren(this.chart.picture);
    this.text("about", [model, mode].filter(Boolean).join(", "));
    this.get("notes").replaceChildren(...notes.map((note) => Object.assign(document.createElement("li"), { textContent: note })));
    this.mark("rows", String(index));
  }

  // "one" picture, this "word" in all rows, or "all" of them.
  setView(view) {
    this.view = view;
    this.get("stage").hidden = view !== "one";
    this.get("grid").hidden = view === "one";
    this.get("view").classList.toggle("many", view !== "one");
    this.get("layout").classList.toggle("wide", view === "all" && this.several);
    this.mark("views", view);
    if (view === "one") this.fold(); else fillGrid(this, view === "all");
  }

  // The photo is as large as the window takes with the colour bar below it.
  fold() {
    const stage = this.get("stage"), scrolled = (this.root.closest("dialog") || document.scrollingElement).scrollTop;
    const below = this.get("pointer").offsetHeight + this.get("scalebar").offsetHeight + 20;
    const high = Math.max(200, innerHeight - stage.getBoundingClientRect().top - scrolled - below);
    const [height, width] = this.data.size;
    stage.style.maxWidth = `min(100%, ${Math.round(high * width / height)}px, ${2 * Math.max(width, 240)}px)`;
  }

  readPointer() {
    if (this.view !== "one") { this.text("pointer", `${this.touch ? "Tap" : "Click"} a picture to see it large.`); return; }
    if (!this.pointed) { this.text("pointer", `${this.touch ? "Touch" : "Point at"} the photo to read the weight there.`); return; }
    const { frame, grid } = this.now;
    const at = this.pointed.map((part, axis) =>
      Math.floor((part * frame.resized[axis] + frame.offset[axis]) * grid[axis] / frame.input[axis]));
    if (at.some((cell, axis) => cell < 0 || cell >= grid[axis])) { this.text("pointer", "The model did not see this part."); return; }
    const density = this.densities[this.row][this.shown][at[0] * grid[1] + at[1]], weight = density / (grid[0] * grid[1]);
    const share = `${(100 * weight).toFixed(2)} % of the weight, ${density.toFixed(2)} times uniform`;
    this.text("pointer", `Here (row ${at[0]}, column ${at[1]}): ${share}`);
  }

  listenToPointer() {
    const stage = this.get("stage");
    const move = (event) => {
      const box = stage.getBoundingClientRect();
      this.pointed = [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
      this.readPointer();
    };
    this.listen(stage, "pointermove", move);
    this.listen(stage, "pointerdown", move);
    this.listen(stage, "pointerleave", (event) => {
      if (event.pointerType !== "mouse") return;  // a finger that is lifted leaves what it has read
      this.pointed = null;
      this.readPointer();
    });
    this.listen(this.root, "pointerdown", (event) => { this.touch = event.pointerType === "touch"; this.readPointer(); });
  }

  onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.defaultPrevented) return;
    const own = event.target.matches("input, select, textarea");  // arrows move sliders, choices and the cursor
    const moves = { ArrowRight: this.step + 1, ArrowLeft: this.step - 1, Home: 0, End: this.count - 1 };
    if (event.key in moves && !own) {
      this.play(false);
      this.choose(moves[event.key]);
      if (event.target.closest("#sentence")) this.buttons[this.step].focus();
      event.preventDefault();
    } else if (event.key === " " && !event.target.matches("button, input, select, textarea, summary")) {
      this.play(!this.timer);
      event.preventDefault();
    }
  }

  switches() {
    const { data, several } = this, kinds = `${data.kind.toLowerCase()}s`;
    const views = [["one", "one picture"], ["word", `this word, all ${kinds}`], ["all", several ? `all words, all ${kinds}` : "all words"]];
    this.radios("views", views.filter(([view]) => several || view !== "word"), "one", (view) => this.setView(view));
    this.get("views").hidden = this.count < 2 && !several;
    this.text("kind", data.kind);
    this.radios("rows", data.rows.map((row, i) => [String(i), row.label]), "0", (row) => this.setRow(Number(row)));
    this.get("rows").hidden = !several;
    this.radios("scales", Object.entries(SCALES), this.scale, (scale) => { this.scale = scale; });
    const bare = this.get("cells"), slider = this.get("opacity");
    bare.checked = this.bare;
    this.listen(bare, "change", () => { this.bare = bare.checked; this.draw(); });
    slider.value = Math.round(100 * this.opacity);
    this.text("opacityvalue", `${slider.value} %`);
    this.listen(slider, "input", () => { this.opacity = slider.value / 100; this.text("opacityvalue", `${slider.value} %`); this.draw(); });
  }

  buttonsAndKeys() {
    this.listen(this.get("previous"), "click", () => { this.play(false); this.choose(this.step - 1); });
    this.listen(this.get("next"), "click", () => { this.play(false); this.choose(this.step + 1); });
    this.listen(this.get("play"), "click", () => this.play(!this.timer));
    this.listen(this.get("download"), "click", () => download(this));
    this.listen(document, "keydown", (event) => this.onKey(event));
    this.listen(window, "resize", () => { if (this.view === "one") this.fold(); });
  }
}
