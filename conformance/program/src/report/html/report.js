"use strict";
(() => {
  const form = document.querySelector("form.filter");
  const cases = [...document.querySelectorAll("details.case")];
  const texts = cases.map((one) => {
    const rules = [...one.querySelectorAll(".labels .rule-link")].map((link) => link.textContent);
    return (one.querySelector("summary").textContent + " " + rules.join(" ")).toLowerCase();
  });
  const filter = () => {
    const words = form.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = new Set([...form.querySelectorAll("[name=verdict]:checked")].map((box) => box.value));
    let shown = 0;
    cases.forEach((one, index) => {
      const fits = wanted.has(one.dataset.verdict) && words.every((word) => texts[index].includes(word));
      one.hidden = !fits;
      shown += fits;
    });
    form.querySelector("output").textContent = shown + " of " + cases.length + " shown";
  };
  const openAll = (open) => cases.forEach((one) => { if (!one.hidden) one.open = open; });
  // Shows the target of a link, even if the filter hides it.
  const follow = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const found = target && target.closest("details.case, details.rule, details.pair");
    if (found) {
      found.hidden = false;
      found.open = true;
      target.scrollIntoView();
    }
  };
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.elements.open.addEventListener("click", () => openAll(true));
  form.elements.close.addEventListener("click", () => openAll(false));
  addEventListener("hashchange", follow);
  filter();
  follow();
})();
