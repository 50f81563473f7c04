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
if (asked && !location.hash) document.querySelector(`#turn-${asked}`)?.scrollIntoView();

async function look() {
  const last = turns.querySelector(".turn:last-of-type");
  const first = Number(last?.dataset.index ?? 0) + 1;
  const response = await fetch(`/sessions/${turns.dataset.session}/turns?first=${first}`);
  if (!response.ok) return false;
  const part = document.createElement("template");
  part.innerHTML = await response.text(); // escaped there
  const found = part.content.querySelectorAll(".turn").length;
  if (found) {
    document.querySelector("#none")?.remove();
    document.querySelector("#steps").textContent = first + found - 1;
    turns.append(part.content);
  }
  return true;
}

async function watch() {
  if (!document.hidden && !(await look())) return;
  setTimeout(watch, 1000);
}
if (turns.hasAttribute("data-watch")) watch();
