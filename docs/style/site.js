// Elements that the theme adds while a page loads get what keyboards and screen readers need.
let count = 0;

function label() {
  document.querySelector(".md-search[role=dialog]")?.setAttribute("aria-label", "Search");
  // Wide tables scroll, so they have to take the focus.
  for (const table of document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])")) {
    table.tabIndex = 0;
    table.setAttribute("role", "group");
    table.setAttribute("aria-label", "Table");
  }
  // So do blocks of code, which the theme reaches only after they have been seen.
  for (const code of document.querySelectorAll("pre > code:not([tabindex])")) {
    if (code.scrollWidth > code.clientWidth) code.tabIndex = 0;
  }
  for (const bar of document.querySelectorAll(".md-code__nav:not([aria-label])")) {
    count += 1;
    bar.setAttribute("aria-label", `Tools of code block ${count}`);
  }
}

label();
addEventListener("resize", label);
new MutationObserver(label).observe(document.body, { childList: true, subtree: true });
