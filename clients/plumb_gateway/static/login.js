import { post } from "./problem.js";

const form = document.querySelector("#login");
const asked = new URLSearchParams(location.search).get("to") ?? "/sessions";
const target = URL.canParse(asked, location.origin) ? new URL(asked, location.origin) : location;

form.querySelector("button").disabled = false; // from here on there is somebody who listens
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (await post("/login", { token: form.token.value })) {
    location.assign(target.origin === location.origin ? target.pathname + target.search : "/sessions");
  }
});
