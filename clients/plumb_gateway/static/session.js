// One session's page: raw bytes on demand, the turn that the link names, new turns as they come.

const turns = document.querySelector("#turns");

document.addEventListener("toggle", async (event) => {
  const details = event.target;
  if (!details.open || !details.dataset.load) return;
  const response = await fetch(details.dataset.load);
  const place = details.querySelector("div");
  if (response.ok) place.innerHTML = await response.text(); // escaped there
  else place.textContent = "The bytes could not be loaded.";
  delete details.dataset.load;
}, true);

const asked = Number(new URLSearchParams(location.search).get("turn"));
const wanted = location.search && asked && document.querySelector(`#turn-${asked}`);
if (wanted) {
  wanted.focus({ preventScroll: true });
  if (!location.hash) wanted.scrollIntoView();
}

async function look() {
  const last = turns.querySelector(".turn:last-of-type");
  const first = Number(last?.dataset.index ?? 0) + 1;
  const response = await fetch(`/sessions/${turns.dataset.session}/turns?first=${first}`);
  if (!response.ok) throw new Error(response.statusText);
  const part = document.createElement("template");
  part.innerHTML = await response.text(); // escaped there
  const found = part.content.querySelectorAll(".turn").length;
  if (found) {
    document.querySelector("#none")?.remove();
    turns.append(...part.content.querySelectorAll(".turn, .reset"));
  }
  document.querySelector("#counted").replaceChildren(part.content.querySelector("[data-counted]").content);
  return response.headers.get("Plumb-Live") === "true";
}

async function watch() {
  let wait = 1000;
  try {
    if (!document.hidden && !(await look())) return location.reload(); // it has ended: all facts are others
  } catch {
    wait = 5000; // the gateway is away; it may come back
  }
  setTimeout(watch, wait);
}
if (turns.hasAttribute("data-watch")) watch();
