// Copies a secret, and keeps the progress of a tenant's creation up to date.
"use strict";

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = "Copied";
});

async function follow(place) {
  const show = (name, text) => {
    const part = place.querySelector(`[data-progress-${name}]`);
    if (part) part.textContent = text;
  };
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    let progress;
    try {
      const response = await fetch(place.dataset.progressUrl, { credentials: "same-origin" });
      if (!response.ok) throw new Error(String(response.status));
      progress = await response.json();
    } catch {
      continue; // the console restarts or the network is away: ask again
    }
    show("percent", progress.percent);
    show("text", progress.text);
    const bar = place.querySelector("[data-progress-bar]");
    if (bar) bar.style.width = `${progress.percent}%`;
    if (!progress.moving) return finish(place, progress);
  }
}

function finish(place, progress) {
  // A page with a secret on it must not be loaded again: there the result is just said.
  if (!document.querySelector("[data-secret]")) return location.reload();
  const ready = progress.state === "active";
  place.querySelector("[data-progress-heading]").textContent = ready ? "Created" : "Failed";
  place.querySelector("[data-progress-text]").textContent = ready ? "Ready." : progress.text;
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[data-progress-url]").forEach(follow);
});
