/* The last minutes. The socket says that something changed, the page then fetches what; without
   a socket it asks every ten seconds. */

document.addEventListener("DOMContentLoaded", () => {
  const part = document.querySelector("[data-live]");
  if (!part) return;
  const POLL = 10_000;
  const TURN = 15_000; // the minutes move on even when nothing is called
  const list = part.querySelector("[data-live-latest]");
  const row = part.querySelector("template[data-live-row]");
  let fetched = Date.now();
  let fetching = false;
  let again = false;
  let socket = null;
  let wait = 1000;

  async function refresh() {
    if (fetching) {
      again = true;
      return;
    }
    fetching = true;
    try {
      const answer = await fetch(part.dataset.live, { headers: { Accept: "application/json" } });
      if (answer.redirected || !answer.ok) throw new Error(`status ${answer.status}`);
      show(await answer.json());
      tell();
    } catch {
      tell("Not reachable, trying again");
    }
    fetched = Date.now();
    fetching = false;
    if (again) {
      again = false;
      refresh();
    }
  }

  function show(data) {
    part.querySelector("[data-live-text]").textContent = data.text;
    usageCharts.redraw(usageCharts.of("live"), data);
    if (data.latest.length) list.replaceChildren(...data.latest.map(line));
  }

  function line(call) {
    const item = row.content.firstElementChild.cloneNode(true);
    item.querySelector("a").href = call.url;
    for (const slot of item.querySelectorAll("[data-slot]")) slot.textContent = call[slot.dataset.slot];
    item.querySelector("[data-slot=status]").className = `usage-status usage-${call.tone}`;
    return item;
  }

  const open = () => socket && socket.readyState === WebSocket.OPEN;

  function tell(problem) {
    part.querySelector("[data-live-state]").textContent = problem || (open() ? "Live" : "Every 10 s");
    part.querySelector("[data-live-dot]").classList.toggle("usage-dot-on", !problem && Boolean(open()));
  }

  function listen() {
    if (document.hidden) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    socket = new WebSocket(`${scheme}://${location.host}/live/usage/`);
    socket.onopen = () => {
      wait = 1000;
      refresh();
    };
    socket.onmessage = refresh;
    socket.onclose = () => {
      tell();
      setTimeout(listen, wait);
      wait = Math.min(wait * 2, 60_000);
    };
  }

  setInterval(() => {
    if (!document.hidden && Date.now() - fetched >= (open() ? TURN : POLL)) refresh();
  }, 1000);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    refresh();
    if (!socket) listen();
  });
  tell();
  listen();
});
