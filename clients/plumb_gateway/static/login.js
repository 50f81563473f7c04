import { post } from "./problem.js";

const form = document.querySelector("#login");
const asked = new URLSearchParams(location.search).get("to") ?? "/sessions";
const target = URL.canParse(asked, location.origin) ? new URL(asked, location.origin) : location;

function go() {
  const isOurs = target.origin === location.origin && target.pathname !== location.pathname;
  location.assign(isOurs ? target.pathname + target.search + target.hash : "/sessions");
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (await post("/login", { token: form.token.value })) go();
});
form.querySelector("button").disabled = false; // from here on there is somebody who listens

// A link on another site comes without the cookie; whoever is signed in goes on from here with it.
const state = await fetch("/login/state").then((response) => response.json());
if (state.signed_in) go();
