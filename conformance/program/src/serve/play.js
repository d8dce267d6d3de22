"use strict";
(() => {
  const list = document.querySelector("ol.wire");
  const events = new EventSource(list.dataset.events);
  const add = (parent, name, text) => {
    const child = parent.appendChild(document.createElement(name));
    child.textContent = text;
    return child;
  };
  events.addEventListener("line", (event) => {
    const line = JSON.parse(event.data);
    const item = list.appendChild(document.createElement("li"));
    if (line.broken) item.className = "broken";
    add(item, "time", line.at);
    add(item, "b", line.actor + " " + line.arrow);
    add(item, "code", line.text);
    if (line.aside.trim()) add(item, "i", line.aside.trim());
  });
  // The server redirects to the page of the result.
  events.addEventListener("over", () => { events.close(); location.reload(); });
})();
