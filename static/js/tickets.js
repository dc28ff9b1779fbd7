// The member's desk: an offer that arrives never takes away what somebody is just typing or about to press.
(() => {
  "use strict";
  const boxes = "input:not([type=hidden]), textarea";
  const isBusy = (part) => (part.contains(document.activeElement) && document.activeElement.matches(boxes))
    || part.querySelector("dialog[open], button[data-asleep]") !== null
    || [...part.querySelectorAll(boxes)].some((box) => box.value !== box.defaultValue);

  document.addEventListener("htmx:beforeRequest", (event) => {
    const part = event.target;
    // It asks again in a few seconds, and then the page is free.
    if (part.matches("[data-keep-while-busy]") && isBusy(part)) event.preventDefault();
  });
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (detail.target.matches("[data-keep-while-busy]") && isBusy(detail.target)) detail.shouldSwap = false;
  });
})();
