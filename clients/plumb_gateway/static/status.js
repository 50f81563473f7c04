document.querySelector("#logout")?.addEventListener("click", async () => {
  await fetch("/logout", { method: "POST" });
  location.assign("/login");
});
