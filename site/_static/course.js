"use strict";
// What the theme leaves out: a part that scrolls can be reached by keyboard, and
// the errata are filtered by article and category.

(() => {
  function reachable() {
    const parts = "table, div.math, .highlight pre, div.output pre";
    for (const part of document.querySelectorAll(parts)) {
      if (part.scrollWidth > part.clientWidth + 1) part.tabIndex = 0;
      else part.removeAttribute("tabindex");
    }
  }

  function list(name, values, onchange) {
    const select = document.createElement("select");
    for (const value of ["all", ...values]) select.add(new Option(value));
    select.onchange = onchange;
    const label = document.createElement("label");
    label.append(name + " ", select);
    return { label, select };
  }

  // "E10 · S000-1, F01 · maths": its articles and its category
  function kinds(entry) {
    const head = entry.textContent.trim().split("\n")[0];
    const number = /^E\d+/.exec(head);
    if (!number) return null;
    const parts = head.split(" · ");
    const articles = new Set(head.match(/\b(?:S?)00\d\b/g) || []);
    return {
      articles: new Set([...articles].map((name) => name.replace("S", ""))),
      category: parts[parts.length - 1].trim(),
    };
  }

  function filter() {
    const entries = [...document.querySelectorAll(".bd-article section > ul > li")]
      .map((entry) => ({ entry, ...kinds(entry) }))
      .filter(({ category }) => category);
    if (entries.length < 20) return;
    const of = (values) => [...new Set(values)].sort();
    const said = document.createElement("span");
    said.setAttribute("role", "status");
    const show = () => {
      const [a, c] = [article.select.value, category.select.value];
      let shown = 0;
      for (const { entry, articles, category: own } of entries) {
        const fits = (a === "all" || articles.has(a)) && (c === "all" || c === own);
        entry.hidden = !fits;
        shown += fits;
      }
      for (const { entry } of entries) {
        const section = entry.closest("section");
        section.hidden = ![...section.querySelectorAll("li")].some(
          (item) => !item.hidden && !item.closest("[hidden]:not(section)"),
        );
      }
      said.textContent = `${shown} of ${entries.length} entries`;
    };
    const article = list(
      "Article", of(entries.flatMap(({ articles }) => [...articles])), show);
    const category = list(
      "Category", of(entries.map(({ category: own }) => own)), show);
    const bar = document.createElement("p");
    bar.className = "errata-filter";
    bar.append(article.label, category.label, said);
    entries[0].entry.closest("section").before(bar);
    show();
  }

  document.addEventListener("DOMContentLoaded", () => {
    if (location.pathname.endsWith("/errata.html")) filter();
    reachable();
    addEventListener("resize", reachable);
    addEventListener("load", reachable);
  });
})();
