/* The catalogue's pages: copy buttons, deeds as dialogs, rows that can be added and removed.
   Every page works without this file, except for adding and removing rows. */

document.addEventListener("click", (event) => {
  const target = event.target.closest(
    "[data-copy], [data-deed], [data-close], [data-add-row], [data-remove-row], [data-move-row], [data-take-names]"
  );
  if (!target || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (target.matches("[data-copy]")) copy(target);
  if (target.matches("[data-deed]")) openDeed(event, target);
  if (target.matches("[data-close]")) closeDeed(event, target);
  if (target.matches("[data-add-row]")) addRow(target.closest("[data-rows]"), true);
  if (target.matches("[data-remove-row]")) removeRow(target);
  if (target.matches("[data-move-row]")) moveRow(target);
  if (target.matches("[data-take-names]")) takeNames(target.closest("[data-rows]"));
});

async function copy(button) {
  const text = button.dataset.copy;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without TLS browsers have no clipboard; the old way needs a selected input.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const label = button.querySelector("[data-copied]");
  label.textContent = "Copied";
  setTimeout(() => (label.textContent = "Copy"), 2000);
}

async function openDeed(event, link) {
  event.preventDefault();
  const answer = await fetch(link.href, { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const form = page.getElementById("deed");
  if (!form || answer.redirected) {
    location.href = link.href;
    return;
  }
  form.querySelector("[name=next]").value = location.pathname + location.search;
  const dialog = document.createElement("dialog");
  dialog.className = "console-dialog";
  dialog.setAttribute("aria-label", form.querySelector("h2").textContent);
  dialog.append(document.adoptNode(form));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function closeDeed(event, link) {
  const dialog = link.closest("dialog");
  if (!dialog) return;
  event.preventDefault();
  dialog.close();
}

function addRow(rows, focus) {
  const body = rows.querySelector("tbody");
  const next = Number(rows.dataset.next || body.rows.length);
  rows.dataset.next = next + 1;
  const html = rows.querySelector("template").innerHTML.replaceAll("__row__", next);
  body.insertAdjacentHTML("beforeend", html);
  const row = body.lastElementChild;
  row.querySelectorAll("[data-steers]").forEach(steer);
  if (focus) row.querySelector("input, select, textarea").focus();
  return row;
}

function removeRow(button) {
  const rows = button.closest("[data-rows]");
  rows.dataset.next ||= rows.querySelector("tbody").rows.length;
  button.closest("tr").remove();
  rows.querySelector("[data-add-row]").focus();
}

/* Rows are read in the order of their numbers, so these go with the places. */
function moveRow(button) {
  const rows = button.closest("[data-rows]");
  const [row, body] = [button.closest("tr"), rows.querySelector("tbody")];
  const other = button.dataset.moveRow < 0 ? row.previousElementSibling : row.nextElementSibling;
  if (!other) return;
  if (button.dataset.moveRow < 0) other.before(row);
  else other.after(row);
  const prefix = `${rows.dataset.rows}-`;
  [...body.rows].forEach((each, place) => {
    for (const input of each.querySelectorAll("[name]")) {
      const column = input.name.slice(prefix.length).replace(/^\d+-/, "");
      input.name = `${prefix}${place}-${column}`;
      input.id = `id_${input.name}`;
    }
  });
  rows.dataset.next = body.rows.length;
  button.focus();
}

/* What belongs to some values of a select is shown with these only. */
function steer(select) {
  for (const part of select.closest("tr").querySelectorAll("[data-only]")) {
    part.hidden = !part.dataset.only.split(" ").includes(select.value);
    if (part.matches("option")) part.disabled = part.hidden;
  }
  for (const other of select.closest("tr").querySelectorAll("select")) {
    if (other.selectedOptions[0]?.hidden) other.value = other.querySelector("option:not([hidden])").value;
  }
}
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-steers]")) steer(event.target);
});
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("tbody [data-steers]").forEach(steer);
});

function takeNames(rows) {
  const texts = [...document.querySelectorAll('textarea[name^="messages-"]')];
  const used = texts.flatMap((area) =>
    [...area.value.matchAll(/\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}/g)].map((match) => match[1])
  );
  const named = () => [...rows.querySelectorAll('tbody input[name$="-name"]')];
  for (const name of new Set(used)) {
    if (named().some((input) => input.value.trim() === name)) continue;
    const free = named().find((input) => !input.value.trim());
    const input = free || addRow(rows, false).querySelector('input[name$="-name"]');
    input.value = name;
  }
}

document.addEventListener("DOMContentLoaded", () => {
  const secret = document.querySelector("[data-leave]");
  // A reload must not post again and make a second key.
  if (secret) history.replaceState(null, "", secret.dataset.leave);
  for (const rows of document.querySelectorAll("[data-rows]")) {
    const body = rows.querySelector("tbody");
    if (!body.rows.length && rows.dataset.rows === "messages") addRow(rows, false);
  }
});

/* A new API: only the fields that belong to its kind. */
document.addEventListener("DOMContentLoaded", () => {
  const kind = document.querySelector("#api_form select#id_kind");
  if (!kind) return;
  const show = (selector, shown) => {
    const row = document.querySelector(selector)?.closest(".form-row, [data-inline-type]");
    if (row) row.style.display = shown ? "" : "none";
  };
  const update = () => {
    show("#id_upstream", kind.value === "http");
    show("#id_listen_path", kind.value !== "ai");
    show("#routes-group", kind.value === "http");
  };
  kind.addEventListener("change", update);
  update();
});

/* A model: only the options that its strategy has. */
document.addEventListener("DOMContentLoaded", () => {
  const strategy = document.querySelector("#aimodel_form select#id_strategy");
  if (!strategy) return;
  const update = () => {
    const quickest = ["first_token", "tokens_per_second"].includes(strategy.value);
    for (const name of ["within_percent", "explore"]) {
      const row = document.getElementById(`id_${name}`)?.closest(".form-row, .field-row");
      if (row) row.style.display = quickest ? "" : "none";
    }
  };
  strategy.addEventListener("change", update);
  update();
});

/* Limits: calls at once have no window, and only a cost has a currency. */
function fitLimit(select) {
  const field = (name) => document.getElementsByName(select.name.replace(/measure$/, name))[0];
  const [window, currency] = [field("window"), field("currency")];
  if (!window || !currency) return;
  if (select.value === "concurrency") window.value = "";
  else if (!window.value) window.value = "minute";
  if (select.value !== "cost") currency.value = "";
  else currency.value ||= "USD";
}
document.addEventListener("change", (event) => {
  if (event.target.matches("select[name$=measure]")) fitLimit(event.target);
});

/* What only a mouse could press becomes a button for the keyboard as well. */
document.addEventListener("DOMContentLoaded", () => {
  for (const element of document.querySelectorAll("[x-on\\:click]")) {
    if (element.matches("button, a[href], input, summary") || element.hasAttribute("tabindex")) continue;
    element.tabIndex = 0;
    element.setAttribute("role", "button");
    element.addEventListener("keydown", (event) => {
      if (event.target !== element || (event.key !== "Enter" && event.key !== " ")) return;
      event.preventDefault();
      element.click();
    });
  }
});
