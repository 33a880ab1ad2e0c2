// The page: one photo's explorer.

const data = JSON.parse(document.getElementById("data").textContent);
document.title = `${data.name} · ${data.tokens.join(" ")}`;
new Explorer(document.querySelector("main"), data).ready.then(() => { document.documentElement.dataset.ready = "yes"; });
