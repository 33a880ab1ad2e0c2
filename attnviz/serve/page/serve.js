// The page: one photo, one question at a time.

function el(id) { return document.getElementById(id); }

const page = { photo: null, key: null, picture: null, text: null, running: null, status: null };
const results = new Results();
const choices = new Choices(() => { if (page.photo) explore(); });

function say(id, text) {
  el(id).textContent = text;
  if (id === "trouble") el(id).hidden = !text;
}

const STATES = {
  sending: () => "Sending the photo …",
  loading: () => "Loading the network; the photo comes next …",
  waiting: ({ ahead }) => (ahead ? `Waiting; ${ahead} before this one …` : "Waiting …"),
  working: ({ done, total }) => (total ? `${done} of ${total} …` : "Looking …"),
};

function progress(line) {
  el("progress").hidden = line === null;
  if (line === null) return;
  const text = STATES[line.state](line);
  if (el("doing").textContent !== text) say("doing", text);
  if (line.total) { el("gauge").max = line.total; el("gauge").value = line.done; } else el("gauge").removeAttribute("value");
}

// Runs one question at a time; a newer one takes the place of the one before.
async function run(question) {
  page.running?.abort();
  const mine = page.running = new AbortController();
  say("trouble", "");
  const late = setTimeout(() => progress({ state: page.key ? "working" : "sending" }), 120);
  el("room").classList.add("old");
  try {
    await question(mine.signal, (line) => { clearTimeout(late); if (page.running === mine) progress(line); });
  } catch (error) {
    if (page.running === mine && error.name !== "AbortError") fail(error);
  } finally {
    clearTimeout(late);
    if (page.running === mine) { page.running = null; progress(null); el("room").classList.remove("old"); }
  }
}

function fail(error) {
  say("trouble", error.message ?? error);
  if (error.status === 0) watch();
}

// Asks about the photo; sends it again where the server no longer has it.
async function ask(path, params, signal, told) {
  const own = { params: { ...choices.params, text: page.text, ...params }, photo: page.photo, signal };
  try {
    return await follow(path, { ...own, key: page.key }, told);
  } catch (error) {
    if (error.status !== 404 || !page.key) throw error;
    page.key = null;
    return follow(path, own, told);
  }
}

function explore() {
  return run(async (signal, told) => {
    const found = await ask("explore", { picture: !page.picture }, signal, told);
    page.key = found.photo;
    page.picture = found.picture ?? page.picture;
    await results.show({ ...found, picture: page.picture }, page.text !== null);
    for (const id of ["query", "choices", "take"]) el(id).hidden = false;
    document.body.classList.add("busy");
    const judged = found.explorer.rows[0].verdicts !== null;
    el("report").hidden = !judged;
    say("tested", judged ? "Each word's verdict stands beside the photo." : "");
    document.documentElement.dataset.answer = String(Number(document.documentElement.dataset.answer || 0) + 1);
    status();  // there may be layers to choose now
  });
}

function open(file) {
  const most = page.status?.most_bytes;
  if (most && file.size > most) { say("trouble", `${file.name}: is larger than ${Math.round(most / 2 ** 20)} MiB; make it smaller`); return; }
  Object.assign(page, { photo: file, key: null, picture: null, text: null });
  el("words").value = "";
  explore();
}

function fetchFile(format) {
  return run(async (signal, told) => {
    told({ state: "working" });
    const params = { ...choices.params, text: page.text, ...results.look, format };
    const asked = { params, photo: page.photo, accept: "*/*", signal };
    let response = await send("draw", { ...asked, key: page.key });
    if (response.status === 404) { page.key = null; response = await send("draw", asked); }
    if (!response.ok) throw await refusal(response);
    await keep(response);
  });
}

function test() {
  return run(async (signal, told) => {
    await ask("check", {}, signal, told);
    const found = await ask("explore", { picture: false }, signal, told);
    page.key = found.photo;
    await results.show({ ...found, picture: page.picture }, page.text !== null);
    el("report").hidden = false;
    say("tested", "Each word's verdict stands beside the photo.");
    document.documentElement.dataset.tested = "yes";
  });
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
      say("state", error ?? (ready ? "" : "The network is loading; a photo can be given already."));
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
el("take").addEventListener("click", (event) => { const { format } = event.target.dataset; if (format) fetchFile(format); });
el("test").addEventListener("click", test);
watch();
