import { post } from "./problem.js";

const form = document.querySelector("#login");
const asked = new URLSearchParams(location.search).get("to") ?? "/sessions";
const target = new URL(asked, location.origin);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (await post("/login", { token: form.token.value })) {
    location.assign(target.origin === location.origin ? target.pathname + target.search : "/sessions");
  }
});
