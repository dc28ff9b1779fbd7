// Names that Django's admin widgets leave unspoken: choices drawn by select2, filter boxes, and cells edited in a list.
addEventListener("load", () => setTimeout(() => {
  const name = (element, words) => words && !element.hasAttribute("aria-label") && element.setAttribute("aria-label", words.trim());
  for (const select of document.querySelectorAll("select.admin-autocomplete")) {
    const words = select.labels[0]?.textContent;
    for (const part of select.parentElement.querySelectorAll(".select2-selection, .select2-selection__rendered")) name(part, words);
  }
  for (const hint of document.querySelectorAll(".help-tooltip[aria-label]:not([role])")) hint.setAttribute("role", "img");
  for (const input of document.querySelectorAll("#result_list td :is(input, select, textarea):not([type=hidden])")) {
    const cell = input.closest("td");
    if (!input.labels.length) name(input, cell.closest("table").tHead.rows[0].cells[cell.cellIndex].textContent);
  }
}));
