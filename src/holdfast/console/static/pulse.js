// NetPulse's pages, live: single bars as checks come, parts of the page when a state changes.
// Without a script the same page is there, as of when it was loaded.
"use strict";

const BAR = 4;
const MIDDLE = 12;
const KINDS = { u: "up", p: "partial", d: "down", n: "unknown", m: "maintenance" };
const OUTCOMES = { up: "u", down: "d", unknown: "n" };
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30000;
const LOOK_EVERY_MS = 2000;
const SVG = "http://www.w3.org/2000/svg";

// The same drawing as charts.py: one stroke for each run of one kind.
function draw(svg, letters) {
  const paths = {};
  for (let at = 0; at < letters.length;) {
    let end = at + 1;
    while (letters[end] === letters[at]) end += 1;
    const kind = KINDS[letters[at]];
    if (kind) paths[kind] = `${paths[kind] || ""}M${BAR * at} ${MIDDLE}h${BAR * (end - at) - 1}`;
    at = end;
  }
  svg.replaceChildren(...Object.entries(paths).map(([kind, d]) => {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", kind);
    path.setAttribute("d", d);
    return path;
  }));
}

// What a bar becomes when one more check falls into it.
function joined(bar, outcome) {
  if (bar === "e" || bar === "n" || bar === outcome) return outcome === "n" && bar === "n" ? "n" : outcome;
  return outcome === "n" ? bar : "p";
}

// A bar as charts.py sees it, when the event brings the counts of the whole of it.
function letterOf(counts) {
  if (counts.down) return counts.up ? "p" : "d";
  if (counts.up) return "u";
  return counts.unknown ? "n" : "e";
}

function beat(place, check) {
  const outcome = OUTCOMES[check.outcome];
  const at = Date.parse(check.beat ? check.beat.at : check.at);
  const step = Number(place.dataset.step || 60) * 1000;
  if (!outcome || Number.isNaN(at)) return;
  if (!place.dataset.at) place.dataset.at = new Date(at).toISOString();
  const last = Date.parse(place.dataset.at);
  let letters = place.dataset.b;
  let back = Math.floor((last + step - at - 1) / step); // bars before the last one; negative: new bars are due
  if (back < 0) {
    const due = Math.min(-back, letters.length);
    letters = letters.slice(due) + "e".repeat(due);
    place.dataset.at = new Date(last - back * step).toISOString();
    back = 0;
  }
  if (back >= letters.length) return;
  const index = letters.length - 1 - back;
  letters = letters.slice(0, index) + (check.beat ? letterOf(check.beat) : joined(letters[index], outcome)) + letters.slice(index + 1);
  place.dataset.b = letters;
  const svg = place.querySelector("svg");
  draw(svg, letters);
  svg.setAttribute("aria-label", svg.getAttribute("aria-label").replace(/\d+(?=( of 60)? with failures)/, [...letters].filter((letter) => "dp".includes(letter)).length));
}

// Parts of the page as the server would make them now. One look at a time, and not often.
let looking = false;
let lookAgain = false;

async function look() {
  if (looking) { lookAgain = true; return; }
  looking = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    localTimes(page);
    for (const selector of ["#standing", "#glance", "[data-part]"]) {
      const fresh = page.querySelectorAll(selector);
      document.querySelectorAll(selector).forEach((part, number) => {
        // What somebody is using stays; so does what has not changed, with where it was scrolled to.
        if (!fresh[number] || part.contains(document.activeElement) || part.isEqualNode(fresh[number])) return;
        part.replaceWith(fresh[number]);
      });
    }
    for (const row of document.querySelectorAll("tr[data-m]")) {
      const fresh = page.querySelector(`tr[data-m="${CSS.escape(row.dataset.m)}"]`);
      if (!fresh || row.contains(document.activeElement) || row.isEqualNode(fresh)) continue;
      row.replaceWith(fresh);
    }
  } catch {
    // The stream says when the console is gone; the next event asks again.
  } finally {
    setTimeout(() => {
      looking = false;
      if (lookAgain) { lookAgain = false; look(); }
    }, LOOK_EVERY_MS);
  }
}

function placesOf(monitor) {
  const name = CSS.escape(monitor);
  return document.querySelectorAll(`tr[data-m="${name}"] .beat, #monitor[data-m="${name}"] .beat`);
}

function follow(status) {
  let wait = FIRST_WAIT_MS;
  let missed = false;

  function connect() {
    const events = new EventSource(status.dataset.livePulse);
    events.addEventListener("open", () => {
      wait = FIRST_WAIT_MS;
      status.textContent = "Live";
      if (missed) look(); // what happened meanwhile
      missed = false;
    });
    events.addEventListener("check", (event) => {
      const check = JSON.parse(event.data);
      for (const place of placesOf(String(check.monitor))) beat(place, check);
      if (document.querySelector(`#monitor[data-m="${CSS.escape(String(check.monitor))}"]`)) look();
    });
    for (const kind of ["monitor", "incident", "region", "reset"]) events.addEventListener(kind, look);
    events.addEventListener("error", () => {
      missed = true;
      events.close();
      status.textContent = "Not live: trying to reconnect";
      // Its own pace and some chance, so that a restarted console is not met by everybody at once.
      setTimeout(connect, wait * (0.5 + Math.random()));
      wait = Math.min(2 * wait, LONGEST_WAIT_MS);
    });
    window.addEventListener("pagehide", () => events.close(), { once: true });
  }
  connect();
}

for (const status of document.querySelectorAll("[data-live-pulse]")) follow(status);
