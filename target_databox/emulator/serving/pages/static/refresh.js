// Keeps the page up to date while a load runs: asks for a number that grows with every change, and when it has grown,
// fetches the page again and replaces the parts marked data-live. Forms are outside them, so typing is never disturbed.
(() => {
  const interval = 1500;
  // Ages such as "3 minutes ago" grow while nothing else changes.
  const oldest = 60000;
  let drawn = Date.now();
  const label = (element) => element && (element.getAttribute("href") || element.getAttribute("aria-label"));

  async function refresh() {
    const version = await (await fetch("/version")).text();
    if (version === document.body.dataset.version && Date.now() - drawn < oldest) return;
    const answer = await fetch(location.href);
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const focused = label(document.activeElement);
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
      if (!next || next.innerHTML === part.innerHTML) continue;
      const scrolled = [...part.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
      const had = part.contains(document.activeElement);
      part.innerHTML = next.innerHTML;
      part.querySelectorAll(".scroll").forEach((each, place) => { each.scrollLeft = scrolled[place] || 0; });
      if (had) [...part.querySelectorAll("a, .scroll")].find((each) => label(each) === focused)?.focus();
    }
    document.body.dataset.version = fresh.body.dataset.version;
    drawn = Date.now();
  }

  async function keep() {
    try {
      if (!document.hidden) await refresh();
    } catch {
      // The emulator was stopped: what is shown stays, and the next try may find it again.
    }
    setTimeout(keep, interval);
  }
  setTimeout(keep, interval);
})();
