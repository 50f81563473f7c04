import { post } from "./problem.js";

const form = document.querySelector("#new");
const field = (name) => form.elements[name];

function show() {
  const kind = field("kind").selectedOptions[0];
  const backends = kind.dataset.backends.split(" ");
  for (const option of field("backend").options) option.disabled = !backends.includes(option.value);
  for (const part of form.querySelectorAll("[data-of]")) part.hidden = !part.dataset.of.split(" ").includes(field("backend").value);
  for (const part of form.querySelectorAll("[data-kind]")) part.hidden = part.dataset.kind !== kind.value;
  field("observe").closest("label").hidden = field("backend").value !== "paired";
}

function request() {
  const asked = { request_id: crypto.randomUUID(), kind: field("kind").value, backend: field("backend").value };
  if (field("init").value.trim()) asked.init = [field("init").value];
  if (field("task").value.trim()) asked.task = field("task").value;
  if (asked.kind === "mysql" && field("database").value) asked.mysql = { database: field("database").value };
  if (asked.backend !== "real") asked.simulator = { model: field("model").value, strategy: field("strategy").value };
  if (asked.backend === "paired") asked.observe = field("observe").value;
  return asked;
}

form.addEventListener("change", show);
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector(".button");
  button.disabled = true;
  const response = await post("/v1/sessions", request());
  button.disabled = false;
  if (!response) return;
  const { session } = await response.json();
  location.assign(`/${session.name}/live?own=true${field("keep").checked ? "&keep=true" : ""}`);
});
show();
form.querySelector(".button").disabled = false; // from here on there is somebody who listens
