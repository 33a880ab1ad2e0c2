// Questions to the server, and what it answers, line by line.

// What is said to the user: a refusal in the server's own words, or that there is no server.
class Trouble extends Error {
  constructor(message, status, retry) { super(message); Object.assign(this, { status, retry }); }
}

const GONE = "The server does not answer. It was stopped, or the way to it is interrupted; this page goes on once it is back.";

async function reach(address, options) {
  try { return await fetch(address, options); } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble(GONE, 0);
  }
}

async function refusal(response) {
  const told = await response.json().catch(() => ({}));
  const message = told.error || `The server answers with ${response.status}.`;
  return new Trouble(message, response.status, Number(response.headers.get("retry-after")) || 0);
}

function addressOf(path, params) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) for (const one of [value].flat()) if (one !== null && one !== undefined) query.append(name, one);
  return `/api/${path}?${query}`;
}

// Asks, with a photo's file or, where the server still has it, with its key.
function send(path, { params, photo, key, accept, signal }) {
  const own = key ? { photo: key } : { name: photo.name || "photo" };
  const headers = { accept, ...(key ? {} : { "content-type": "application/octet-stream" }) };
  return reach(addressOf(path, { ...params, ...own }), { method: "POST", headers, body: key ? undefined : photo, signal });
}

// The same, and tells how far it is: `told` gets every line but the last, whose result is returned.
async function follow(path, asked, told) {
  const response = await send(path, { ...asked, accept: "application/x-ndjson" });
  if (!response.ok) throw await refusal(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read().catch((error) => { throw error.name === "AbortError" ? error : new Trouble(GONE, 0); });
    if (done) throw new Trouble(GONE, 0);
    const parts = (text + value).split("\n");
    text = parts.pop();
    for (const line of parts.map((part) => JSON.parse(part))) {
      if (line.state === "done") return line.result;
      if (line.state === "failed") throw new Trouble(line.error, line.status, 0);
      told(line);
    }
  }
}
