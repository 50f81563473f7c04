import { call } from "./problem.js";

const form = document.querySelector("#capture");
const button = form.querySelector("button");

button.disabled = false; // from here on there is somebody who listens
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  button.textContent = "Grounding …";
  const response = await call(form.action);
  if (response) document.querySelector("#captured").innerHTML = await response.text(); // escaped there
  button.disabled = false;
  button.textContent = "Ground it now";
});
