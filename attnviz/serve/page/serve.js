// The page: one photo, one question at a time.

function el(id) { return document.getElementById(id); }

const page = { photo: null, key: null, picture: null, text: null, running: null, testing: null, status: null, shown: {} };
const TRIES = 20;  // of a busy server
const results = new Results();
const choices = new Choices(() => { if (page.photo) explore(); });

function say(id, text) {
  el(id).textContent = text;
  if (id === "trouble") el("alarm").hidden = !text;
}

const STATES = {
  sending: () => "Sending the photo …",
  loading: () => "Loading the network; the photo comes next …",
  waiting: ({ ahead }) => (ahead ? `Waiting; ${ahead} before this one …` : "Waiting …"),
  working: () => "Looking …",
  drawing: () => "Drawing …",
  busy: ({ retry }) => `Many are waiting; trying again in ${retry} s …`,
};

function progress(line) {
  el("progress").hidden = line === null;
  const text = line === null ? "" : STATES[line.state](line);
  if (el("doing").textContent !== text) say("doing", text);
}

// Runs one question at a time; a newer one takes the place of the one before.
async function run(question, first) {
  page.running?.abort();
  const mine = page.running = new AbortController();
  say("trouble", "");
  say("state", "");
  const late = setTimeout(() => progress({ state: first }), 120);  // what is quicker needs no word
  try {
    await question(mine.signal, (line) => { clearTimeout(late); if (page.running === mine) progress(line); });
  } catch (error) {
    if (page.running === mine && error.name !== "AbortError") fail(error);
  } finally {
    clearTimeout(late);
    if (page.running === mine) { page.running = null; progress(null); }
  }
}

function fail(error) {
  say("trouble", error.message ?? error);
  if (error.status === 0) watch();
}

// What is asked now.
const question = () => ({ ...choices.params, text: page.text });

const pause = (seconds, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, 1000 * seconds);
  signal.addEventListener("abort", () => { clearTimeout(timer); reject(new DOMException("", "AbortError")); });
});

// Asks about the photo; sends it again where the server no longer has it, and asks again where others come first.
async function ask(path, params, signal, told) {
  const { photo } = page;
  let key = page.key;
  for (let times = 0; ; times++) {
    try {
      return await follow(path, { params, photo, signal, key }, told);
    } catch (error) {
      if (error.status === 404 && key) { key = null; if (photo === page.photo) page.key = null; }
      else if (error.status === 503 && error.retry && times < TRIES) { told({ state: "busy", retry: error.retry }); await pause(error.retry, signal); }
      else throw error;
    }
  }
}

function explore() {
  el("room").classList.add("old");
  return run(async (signal, told) => {
    await shown(await ask("explore", { ...question(), picture: !page.picture }, signal, told));
    status();  // there may be layers to choose now
  }, page.key ? "working" : "sending").finally(() => {
    if (page.running) return;
    el("room").classList.remove("old");
    Object.assign(page, page.shown);  // what was asked in vain is no part of the next question
  });
}

async function shown(found) {
  page.key = found.photo;
  page.picture = found.picture ?? page.picture;
  await results.show({ ...found, picture: page.picture }, page.text !== null);
  for (const id of ["query", "choices", "take"]) el(id).hidden = false;
  el("own").hidden = page.text === null;
  document.body.classList.add("busy");
  const judged = found.explorer.rows[0].verdicts !== null;
  el("report").hidden = !judged;
  page.shown = { photo: page.photo, key: page.key, picture: page.picture, text: page.text };
  if (!page.testing) say("tested", judged ? "Each word's verdict stands beside the photo." : "");
  document.documentElement.dataset.answer = String(Number(document.documentElement.dataset.answer || 0) + 1);
}

function open(file) {
  const most = page.status?.most_bytes;
  if (most && file.size > most) { say("trouble", `${file.name}: is larger than ${Math.round(most / 2 ** 20)} MiB; make it smaller`); return; }
  page.testing?.abort();
  Object.assign(page, { photo: file, key: null, picture: null, text: null });
  el("words").value = "";
  explore();
}

function fetchFile(format) {
  return run(async (signal) => {
    const asked = { params: { ...question(), ...results.look, format }, photo: page.photo, accept: "*/*", signal };
    let response = await send("draw", { ...asked, key: page.key });
    if (response.status === 404) { page.key = null; response = await send("draw", asked); }
    if (!response.ok) throw await refusal(response);
    await keep(response);
  }, "drawing");
}

// Tests go on beside other questions about the photo.
async function test() {
  const mine = page.testing = new AbortController(), { photo } = page, asked = question();
  for (const id of ["test", "tested"]) el(id).hidden = true;
  el("testing").hidden = false;
  say("trouble", "");
  say("count", "");
  try {
    await ask("check", asked, mine.signal, ({ state, done, total, ahead }) => {
      if (state === "working" && total) Object.assign(el("gauge"), { max: total, value: done }); else el("gauge").removeAttribute("value");
      say("count", state === "working" && total ? `${done} of ${total}` : ahead ? `after ${ahead} others` : state === "busy" ? "others come first" : "");
    });
    if (photo !== page.photo) return;
    const same = JSON.stringify(asked) === JSON.stringify(question());
    if (same && !page.running) await shown(await ask("explore", { ...asked, picture: !page.picture }, mine.signal, () => {}));
    say("tested", same ? "Each word's verdict stands beside the photo." : "The words asked for before are tested.");
    document.documentElement.dataset.tested = "yes";
  } catch (error) {
    if (error.name !== "AbortError") fail(error);
  } finally {
    if (page.testing === mine) {
      page.testing = null;
      for (const id of ["test", "tested"]) el(id).hidden = false;
      el("testing").hidden = true;
    }
  }
}

async function status() {
  const response = await reach("/api/status");
  if (!response.ok) throw await refusal(response);
  page.status = await response.json();
  choices.offer(page.status);
  return page.status;
}

// Until the network is there, and until a server that was gone is back.
let watching = false;
async function watch() {
  if (watching) return;
  watching = true;
  for (;;) {
    try {
      const { ready, error } = await status();
      if (el("trouble").textContent === GONE) say("trouble", "");
      say("state", error ?? (ready || page.running ? "" : "The network is loading; a photo can be given already."));
      if (ready || error) break;
    } catch (error) {
      say("state", "");
      say("trouble", error.message);
    }
    await new Promise((resolve) => { setTimeout(resolve, 700); });
  }
  watching = false;
  document.documentElement.dataset.ready = "yes";
}

listenForPhotos(open, fail);
el("query").addEventListener("submit", (event) => {
  event.preventDefault();
  page.text = el("words").value.trim() || null;
  explore();
});
el("own").addEventListener("click", () => { el("words").value = ""; page.text = null; explore(); });
el("cancel").addEventListener("click", () => { page.running?.abort(); page.running = null; progress(null); el("room").classList.remove("old"); });
el("stop").addEventListener("click", () => page.testing?.abort());
el("dismiss").addEventListener("click", () => say("trouble", ""));
el("take").addEventListener("click", (event) => { const { format } = event.target.dataset; if (format) fetchFile(format); });
el("test").addEventListener("click", test);
watch();
