// What the page gains with a script: the reader's own clock, the figures of a day under the pointer, fresh content
// every minute, and the truth about its age. Everything else is in the page.
"use strict";

const DAY_MS = 86400000;
const AGAIN_MS = 60000;

function localTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.valueOf())) continue;
    element.title = element.textContent;
    element.textContent = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  }
}
localTimes(document);

// The page is files: when the engine dies they stay, and must not be taken for news.
function tellAge() {
  const banner = document.querySelector("[data-generated]");
  if (!banner) return;
  const isStale = Date.now() - Date.parse(banner.dataset.generated) > Number(banner.dataset.staleS) * 1000;
  banner.querySelector(".stale").hidden = !isStale;
  banner.classList.toggle("is-stale", isStale);
}

async function renew() {
  const main = document.querySelector("main");
  if (document.hidden || !document.querySelector("[data-generated]") || main.contains(document.activeElement)) return;
  try {
    const answer = await fetch(location.pathname, { cache: "no-cache" });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("main");
    if (!fresh || !fresh.querySelector("[data-generated]")) return;
    localTimes(page);
    main.replaceChildren(...fresh.childNodes);
    document.querySelector("footer").replaceWith(page.querySelector("footer"));
    tips();
  } catch {
    // No network: the page tells its age.
  }
}

// One tip for all bars; what it says of a day stands in the drawing, or the day was well.
const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
tip.setAttribute("aria-hidden", "true");
document.body.append(tip);

function tips() {
  for (const bars of document.querySelectorAll(".bars[data-first]")) {
    const count = bars.viewBox.baseVal.width / 4;
    const told = new Map([...bars.querySelectorAll("rect")].map((rect) => [Number(rect.getAttribute("x")) / 4, rect.textContent]));
    for (const title of bars.querySelectorAll("title")) title.remove(); // or there would be two tips
    bars.addEventListener("pointermove", (event) => {
      const box = bars.getBoundingClientRect();
      const day = Math.min(count - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * count)));
      const date = new Date(Date.parse(bars.dataset.first) + day * DAY_MS).toISOString().slice(0, 10);
      tip.textContent = told.get(day) || (bars.dataset.letters && bars.dataset.letters[day] === "e" ? `${date}: not watched` : `${date}: no trouble`);
      tip.hidden = false;
      const left = Math.min(event.clientX - tip.offsetWidth / 2, document.documentElement.clientWidth - tip.offsetWidth - 4);
      // Set by script, which the policy on inline styles does not forbid.
      tip.style.left = `${Math.max(4, left) + scrollX}px`;
      tip.style.top = `${box.top + scrollY - tip.offsetHeight - 4}px`;
    });
    bars.addEventListener("pointerleave", () => { tip.hidden = true; });
  }
}

tips();
tellAge();
setInterval(async () => { await renew(); tellAge(); }, AGAIN_MS);
