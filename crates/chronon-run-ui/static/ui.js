// Pages are complete without this. It refreshes what changes, copies commands, and listens to keys.
"use strict";
(() => {
  const live = document.body.hasAttribute("data-live");
  const status = document.getElementById("live");
  const PAUSE = 2000;
  let tag = null;

  for (const button of document.querySelectorAll("[data-copy]")) prepareCopy(button);

  function prepareCopy(button) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = button.parentElement.querySelector("pre").textContent;
      try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; }
      catch { button.textContent = "Not allowed"; }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  const KEYS = { g: "Graph", r: "Runs", a: "Assets", o: "Overview" };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "/") {
      const search = document.querySelector(".search input");
      if (search) { search.focus(); search.select(); event.preventDefault(); }
      return;
    }
    if (!(event.key in KEYS)) return;
    const links = [...document.querySelectorAll(".top nav a")];
    const link = links.find((each) => each.textContent === KEYS[event.key]);
    if (link) link.click();
  });

  function atEnd(log) { return log.scrollHeight - log.scrollTop - log.clientHeight < 40; }
  function toEnd(log) { log.scrollTop = log.scrollHeight; }

  // A log is shown from the line that matters, else from its end.
  function prepareLog(root) {
    for (const log of root.querySelectorAll(".log")) {
      const mark = log.querySelector("#matters");
      if (mark) log.scrollTop = Math.max(0, mark.offsetTop - log.offsetTop - 80);
      else if (log.hasAttribute("data-tail")) toEnd(log);
    }
  }
  prepareLog(document);

  function replace(now, next) {
    if (now.contains(document.activeElement) && document.activeElement.matches("input, textarea")) return;
    if (now.innerHTML === next.innerHTML) return;
    const open = new Set([...now.querySelectorAll("details[open] > summary")].map((each) => each.textContent));
    const logs = [...now.querySelectorAll(".log, .scroll, .events")].map((each) => [each.scrollTop, each.scrollLeft, atEnd(each)]);
    const focus = now.contains(document.activeElement) ? document.activeElement.id : "";
    now.replaceChildren(...next.childNodes);
    for (const details of now.querySelectorAll("details")) {
      if (open.has(details.querySelector("summary")?.textContent)) details.open = true;
    }
    now.querySelectorAll(".log, .scroll, .events").forEach((each, at) => {
      if (!logs[at]) return;
      if (each.hasAttribute("data-tail") && logs[at][2]) toEnd(each);
      else [each.scrollTop, each.scrollLeft] = logs[at];
    });
    now.querySelectorAll("[data-copy]").forEach(prepareCopy);
    if (focus) document.getElementById(focus)?.focus();
  }

  async function refresh() {
    if (document.hidden) return;
    try {
      const headers = tag ? { "If-None-Match": tag } : {};
      const answer = await fetch(location.href.split("#")[0], { headers, cache: "no-store" });
      status.textContent = "";
      if (!answer.ok) return;
      tag = answer.headers.get("ETag");
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const now of document.querySelectorAll("main [data-live]")) {
        const other = next.getElementById(now.id);
        if (other) replace(now, other);
      }
      const time = next.querySelector("footer time");
      if (time) document.querySelector("footer time").textContent = time.textContent;
    } catch {
      status.textContent = "chronon-run ui is not running any more: what is shown is old";
    }
  }
  if (live) {
    const again = async () => { await refresh(); setTimeout(again, PAUSE); };
    setTimeout(again, PAUSE);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  }

  // The graph: the wheel with Ctrl and the buttons zoom, dragging pans.
  const graph = document.querySelector(".graph");
  if (graph) {
    const picture = graph.querySelector("svg");
    const width = picture.viewBox.baseVal.width, height = picture.viewBox.baseVal.height;
    let scale = 1;
    const zoom = (to) => {
      scale = Math.min(3, Math.max(.1, to));
      picture.setAttribute("width", width * scale);
      picture.setAttribute("height", height * scale);
    };
    const fit = () => zoom(Math.min(1, (graph.clientWidth - 2) / width));
    for (const button of document.querySelectorAll("[data-zoom]")) {
      button.hidden = false;
      button.addEventListener("click", () => button.dataset.zoom === "fit" ? fit() : zoom(scale * Number(button.dataset.zoom)));
    }
    graph.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      zoom(scale * (event.deltaY < 0 ? 1.15 : 1 / 1.15));
    }, { passive: false });
    let drag = null, moved = false;
    graph.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch") return;
      drag = [event.clientX, event.clientY, graph.scrollLeft, graph.scrollTop];
      moved = false;
    });
    window.addEventListener("pointermove", (event) => {
      if (!drag) return;
      moved ||= Math.abs(event.clientX - drag[0]) + Math.abs(event.clientY - drag[1]) > 4;
      graph.scrollLeft = drag[2] - event.clientX + drag[0];
      graph.scrollTop = drag[3] - event.clientY + drag[1];
    });
    window.addEventListener("pointerup", () => { drag = null; });
    graph.addEventListener("click", (event) => { if (moved) event.preventDefault(); }, true);
    graph.addEventListener("dragstart", (event) => event.preventDefault());
  }
})();
