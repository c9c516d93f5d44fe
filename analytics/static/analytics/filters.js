/* Filter forms: what is empty stays out of the address. */
document.addEventListener("submit", (event) => {
  if (!event.target.matches(".usage-filters")) return;
  const fields = event.target.querySelectorAll("input, select");
  const ranged = [...fields].some((field) => ["from", "to"].includes(field.name) && field.value);
  for (const field of fields) field.disabled = !field.value || (ranged && field.name === "range");
});

/* Coming back with the browser's button finds the form as it was left. */
window.addEventListener("pageshow", () => {
  for (const field of document.querySelectorAll(".usage-filters :disabled")) field.disabled = false;
});
