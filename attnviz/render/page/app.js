// The page: words, keys, switches, and the picture that they show.

const data = JSON.parse(document.getElementById("data").textContent);
const get = (id) => document.getElementById(id);
const overlay = get("overlay").getContext("2d");
const count = data.steps.length;
const SCALES = { log: "log, 1 to 64", linear: "linear, 0 to 10", shared: "shared", step: "own, each word" };
const state = { step: 0, shown: 0, mode: 0, scale: data.scale, cells: data.cells, opacity: data.opacity, timer: null };
const calm = matchMedia("(prefers-reduced-motion: reduce)");
let densities = [], chart = null, buttons = [];
const axes = new Map();

function text(id, value) { get(id).textContent = value; }

function axesOf(mode) {
  const key = `${state.mode} ${state.cells}`;
  if (!axes.has(key)) {
    const [rows, columns] = [0, 1].map((axis) => axisOf(mode.frame, axis, mode.grid[axis], data.size[axis], state.cells));
    axes.set(key, [Object.assign(rows, { cells: mode.grid[0] }), columns]);
  }
  return axes.get(key);
}

function scaleOf() {
  const found = data.tops[state.scale], doubling = data.doubling.includes(state.scale);
  const top = Array.isArray(found) ? found[state.mode][state.shown] : found;
  return { top, doubling, bottom: doubling ? data.bottom : data.threshold * top };
}

function draw() {
  const mode = data.modes[state.mode];
  const [rows, columns] = axesOf(mode);
  const table = tableOf(data.colours, data.strength, state.opacity);
  const unseen = new Uint32Array(new Uint8Array([0, 0, 0, Math.round(255 * (1 - data.unseen))]).buffer)[0];
  paint(overlay, rows, columns, densities[state.mode][state.shown], scaleOf(), table, unseen);
  drawBar(table);
  buttons.forEach((button, i) => {
    button.classList.toggle("shown", i === state.shown);
    if (i === state.step) button.setAttribute("aria-current", "step"); else button.removeAttribute("aria-current");
  });
  chart.columns.forEach((column, i) => column.classList.toggle("shown", i === state.shown));
  say();
  readPointer();
}

function numbers() {
  const mode = data.modes[state.mode], i = state.shown;
  const parts = [];
  if (mode.probabilities) parts.push(`p = ${mode.probabilities[i].toFixed(2)}`);
  parts.push(`entropy ${mode.entropy[i].toFixed(2)} nats (${Math.exp(mode.entropy[i]).toFixed(1)} effective cells)`);
  return parts.join(", ");
}

function say() {
  const where = data.modes.length > 1 ? `, mode ${data.modes[state.mode].label}` : "";
  text("status", `Word ${state.shown + 1} of ${count}: “${data.words[state.shown]}”, ${numbers()}${where}.`);
}

// Doublings, or round numbers from 0 with room left for the top's own.
function ticksOf({ top, bottom, doubling }) {
  if (doubling) return Array.from({ length: Math.round(Math.log2(top / bottom)) }, (_, i) => bottom * 2 ** i);
  const power = 10 ** Math.floor(Math.log10(top / 5));
  const pitch = [1, 2, 5, 10].map((factor) => factor * power).find((value) => value >= 0.999 * top / 5);
  return Array.from({ length: Math.ceil(top / pitch) }, (_, i) => i * pitch).filter((value) => value < 0.9 * top);
}

function drawBar(table) {
  const bar = get("bar").getContext("2d"), scale = scaleOf(), { top } = scale, levelOf = levelsOf(scale);
  const line = bar.createImageData(512, 1), bytes = new Uint8Array(table.buffer);
  for (let x = 0; x < 512; x++) {
    const level = 4 * levelOf(densityAt(scale, (x + 0.5) / 512)), alpha = bytes[level + 3] / 255;
    for (let c = 0; c < 3; c++) line.data[4 * x + c] = data.grey * (1 - alpha) + bytes[level + c] * alpha;
    line.data[4 * x + 3] = 255;
  }
  bar.putImageData(line, 0, 0);
  const marks = [...ticksOf(scale), top].map((value, i) => {
    const mark = document.createElement("span");
    const sign = value === top && data.clipped[state.scale] ? "≥ " : i === 0 && scale.doubling ? "≤ " : "";
    mark.textContent = sign + +value.toPrecision(3);
    mark.style.left = `${100 * positionOf(scale, value)}%`;
    return mark;
  });
  get("ticks").replaceChildren(...marks);
  const all = data.modes.length > 1 ? "one scale for all words and modes" : "one scale for all words";
  const fixed = "the same scale in every picture";
  const range = { log: fixed, linear: fixed, shared: all, step: "this word's own scale" };
  const least = scale.doubling ? +scale.bottom.toPrecision(3) : `${100 * data.threshold} %`;
  text("bartitle", `attention, times uniform; ${range[state.scale]}; nothing is painted below ${least}`);
  const label = `Colour bar from ${scale.doubling ? least : 0} to ${+top.toPrecision(3)} times uniform, ${range[state.scale]}`;
  get("scalebar").setAttribute("aria-label", label);
}

function show(index) { state.shown = index; draw(); }

function choose(index) {
  state.step = Math.min(Math.max(index, 0), count - 1);
  show(state.step);
}

// Whoever asked the system for less motion gets slower steps, and no round after round.
function advance() {
  if (calm.matches && state.step === count - 1) play(false);
  else choose((state.step + 1) % count);
}

function play(on) {
  clearInterval(state.timer);
  state.timer = on ? setInterval(advance, (calm.matches ? Math.max(2, data.duration) : data.duration) * 1000) : null;
  get("status").setAttribute("aria-live", on ? "off" : "polite");
  get("play").setAttribute("aria-pressed", String(on));
  text("play", on ? "Pause" : "Play");
}

function sentence() {
  const parts = data.tokens.map((token, index) => {
    const at = data.steps.indexOf(index);
    const word = document.createElement(at < 0 ? "span" : "button");
    word.textContent = token;
    word.dir = "auto";
    if (at >= 0) {
      word.type = "button";
      word.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse" && !state.timer) show(at); });
      word.addEventListener("pointerleave", () => { if (state.shown !== state.step) show(state.step); });
      word.addEventListener("click", () => { play(false); choose(at); });
      buttons.push(word);
    }
    return word;
  });
  get("sentence").replaceChildren(...parts);
}

function radios(id, options, chosen, change) {
  const labels = options.map(([value, shown]) => {
    const label = document.createElement("label"), input = document.createElement("input");
    Object.assign(input, { type: "radio", name: id, value, checked: value === chosen });
    input.addEventListener("change", () => { change(value); });
    label.append(input, document.createTextNode(shown));
    return label;
  });
  get(id).append(...labels);
}

function setMode(index) {
  state.mode = index;
  const mode = data.modes[index];
  chart = chartOf(mode, data.words, (i) => { play(false); choose(i); });
  get("chart").replaceChildren(chart.picture);
  text("about", [mode.model, mode.mode].filter(Boolean).join(", "));
  get("notes").replaceChildren(...mode.notes.map((note) => {
    const item = document.createElement("li");
    item.textContent = note;
    return item;
  }));
}

let pointed = null;

function readPointer() {
  if (!pointed) { text("pointer", "Point at the photo to read the weight there."); return; }
  const mode = data.modes[state.mode], frame = mode.frame;
  const cellOf = (part, axis) => (part * frame.resized[axis] + frame.offset[axis]) * mode.grid[axis] / frame.input[axis];
  const at = pointed.map((part, axis) => Math.floor(cellOf(part, axis)));
  if (at.some((cell, axis) => cell < 0 || cell >= mode.grid[axis])) {
    text("pointer", "The model did not see this part.");
    return;
  }
  const density = densities[state.mode][state.shown][at[0] * mode.grid[1] + at[1]];
  const weight = density / (mode.grid[0] * mode.grid[1]);
  const share = `${(100 * weight).toFixed(2)} % of the weight, ${density.toFixed(2)} times uniform`;
  text("pointer", `Here (row ${at[0]}, column ${at[1]}): ${share}`);
}

function listenToPointer() {
  const stage = get("stage");
  const move = (event) => {
    const box = stage.getBoundingClientRect();
    pointed = [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
    readPointer();
  };
  stage.addEventListener("pointermove", move);
  stage.addEventListener("pointerdown", move);
  stage.addEventListener("pointerleave", () => { pointed = null; readPointer(); });
}

function onKey(event) {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const own = event.target.matches("input");  // arrows move sliders and radio buttons
  const moves = { ArrowRight: state.step + 1, ArrowLeft: state.step - 1, Home: 0, End: count - 1 };
  if (event.key in moves && !own) {
    play(false);
    choose(moves[event.key]);
    if (event.target.closest("#sentence")) buttons[state.step].focus();
    event.preventDefault();
  } else if (event.key === " " && !event.target.matches("button, input")) {
    play(!state.timer);
    event.preventDefault();
  }
}

// The picture as it stands, with the sentence and the colour bar below it, at the photo's embedded size.
function download() {
  const [height, width] = data.size, canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
  const size = Math.round(Math.min(Math.max(width / 34, 14), 34)), font = `${size}px system-ui, sans-serif`, pad = Math.round(size * 0.6);
  const places = [];
  pen.font = font;
  let x = pad, y = 0;
  data.tokens.forEach((token, index) => {
    const long = pen.measureText(token).width;
    if (x > pad && x + long + pad > width) { x = pad; y += size * 1.5; }
    places.push({ token, index, x, y, long });
    x += long + size * 0.5;
  });
  canvas.width = width;
  canvas.height = Math.ceil(height + y + size * 5.2);
  pen.fillStyle = "#18181c";
  pen.fillRect(0, 0, width, canvas.height);
  pen.drawImage(get("photo"), 0, 0, width, height);
  pen.drawImage(get("overlay"), 0, 0);
  pen.textBaseline = "middle";
  for (const place of places) {
    const current = place.index === data.steps[state.shown], middle = height + pad + place.y + size * 0.6;
    pen.font = font;
    if (current) {
      pen.fillStyle = "#ffcc4d";
      pen.fillRect(place.x - size * 0.2, middle - size * 0.65, place.long + size * 0.4, size * 1.3);
    }
    pen.fillStyle = current ? "#141416" : "#d8d8de";
    pen.fillText(place.token, place.x, middle, width - 2 * pad);
  }
  const foot = canvas.height - size * 0.7, top = `${get("ticks").lastChild.textContent} times uniform`;
  pen.drawImage(get("bar"), pad, foot - size * 2.35, width - 2 * pad, Math.ceil(size * 0.45));
  pen.font = `${Math.round(size * 0.62)}px system-ui, sans-serif`;
  pen.fillStyle = "#a5a5b0";
  pen.fillText(get("ticks").firstChild.textContent, pad, foot - size * 1.35);
  pen.fillText(top, width - pad - pen.measureText(top).width, foot - size * 1.35);
  const facts = [data.modes[state.mode].label, `scale ${SCALES[state.scale]}`, numbers()];
  pen.fillText(facts.join(" · "), pad, foot, width - 2 * pad);
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    const word = data.words[state.shown].replace(/[^\p{L}\p{M}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 40) || "word";
    link.download = `step-${String(data.steps[state.shown]).padStart(2, "0")}-${word}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }, "image/png");
}

async function begin() {
  document.title = `${data.name} · ${data.tokens.join(" ")}`;
  text("name", data.name);
  text("foot", `Attention tells where the network took its input from at a word. It does not prove why the word was chosen. Made by attnviz ${data.version}.`);
  get("photo").alt = `${data.name}: ${data.tokens.join(" ")}`;
  [overlay.canvas.height, overlay.canvas.width] = data.size;
  get("stage").style.maxWidth = `min(100%, calc(78vh * ${data.size[1] / data.size[0]}), ${2 * Math.max(data.size[1], 240)}px)`;
  if (typeof DecompressionStream === "undefined") { text("status", "This browser is too old to draw the heatmaps."); return; }
  densities = await Promise.all(data.modes.map(densitiesOf));
  sentence();
  setMode(0);
  radios("modes", data.modes.map((mode, i) => [String(i), mode.label]), "0", (value) => { setMode(Number(value)); draw(); });
  get("modes").hidden = data.modes.length < 2;
  radios("scales", Object.entries(SCALES), state.scale, (value) => { state.scale = value; draw(); });
  get("cells").checked = state.cells;
  get("cells").addEventListener("change", (event) => { state.cells = event.target.checked; draw(); });
  const opacity = () => { state.opacity = get("opacity").value / 100; text("opacityvalue", `${get("opacity").value} %`); };
  get("opacity").value = Math.round(100 * state.opacity);
  opacity();
  get("opacity").addEventListener("input", () => { opacity(); draw(); });
  get("previous").addEventListener("click", () => { play(false); choose(state.step - 1); });
  get("next").addEventListener("click", () => { play(false); choose(state.step + 1); });
  get("play").addEventListener("click", () => play(!state.timer));
  get("download").addEventListener("click", download);
  document.addEventListener("keydown", onKey);
  listenToPointer();
  choose(0);
  document.documentElement.dataset.ready = "yes";
}

begin();
