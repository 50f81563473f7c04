// The keyboard, on every page; and filters that apply as soon as they are changed.

const one = (selector) => document.querySelector(selector);
const rows = () => [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent);
const dialog = one("#keys");

one("#show-keys").addEventListener("click", () => dialog.showModal());

// With the pointer a choice is made at once; with the arrows one passes by others first.
for (const form of document.querySelectorAll("[data-filters]")) {
  let byKeys = false;
  form.addEventListener("pointerdown", () => { byKeys = false; });
  form.addEventListener("keydown", (event) => {
    byKeys = true;
    if (event.key === "Enter" && event.target.matches("select")) form.requestSubmit();
  });
  form.addEventListener("change", (event) => event.target.matches("select") && !byKeys && form.requestSubmit());
  form.addEventListener("submit", () => {
    for (const field of form.elements) field.disabled = !field.value && field.name !== "verdict";
  });
}

function move(by) {
  const all = rows();
  const here = all.findIndex((row) => row === document.activeElement || row.contains(document.activeElement));
  const to = all[here < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, here + by))];
  to?.focus();
  to?.scrollIntoView({ block: "nearest" });
}

function moveToWrong() {
  const all = rows();
  const here = all.indexOf(document.activeElement);
  const next = all.find((row, at) => at > here && row.dataset.tone === "wrong");
  next?.focus();
  next?.scrollIntoView({ block: "start" });
}

const actions = {
  j: () => move(1),
  k: () => move(-1),
  w: moveToWrong,
  n: () => (one("[data-next]") ?? one("[data-new]"))?.click(),
  "/": () => (one("[data-type]") ?? one(".filters select"))?.focus(),
  "?": () => dialog.showModal(),
};

const typed = one("#live #input");
let goes = false;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || dialog.open) return;
  if (event.target.matches("input, textarea, select")) {
    if (event.key === "Escape" && event.target !== typed) event.target.blur();
    return;
  }
  if (typed) { // what is meant for a terminal steers no page
    if (event.key.length === 1 && !event.target.matches("a, button, summary")) typed.focus();
    return;
  }
  const link = goes && one(`[data-go="${CSS.escape(event.key)}"]`);
  goes = !goes && event.key === "g";
  const action = link ? () => link.click() : actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});
