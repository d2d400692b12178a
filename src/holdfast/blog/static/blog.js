// What pages gain with a script: a choice of colours, and search. Every page can be read without.
"use strict";

const root = document.documentElement;
root.classList.add("has-script");

// Colours: remembered on this device. Where storage is forbidden the choice lasts as long as the page.
function remembered() {
  try { return localStorage.getItem("theme") || ""; } catch { return ""; }
}
function remember(theme) {
  try {
    if (theme) localStorage.setItem("theme", theme);
    else localStorage.removeItem("theme");
  } catch { /* the page shows it all the same */ }
}
function show(theme) {
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  else delete root.dataset.theme;
  for (const button of document.querySelectorAll("[data-theme-buttons] button")) {
    button.setAttribute("aria-pressed", String(button.value === (root.dataset.theme || "")));
  }
}
show(remembered());
for (const button of document.querySelectorAll("[data-theme-buttons] button")) {
  button.addEventListener("click", () => { remember(button.value); show(button.value); });
}

// A number that was followed to its record: open what hides it.
function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const hidden = target && target.closest("details:not([open])");
  if (hidden) { hidden.open = true; target.scrollIntoView(); }
}
addEventListener("hashchange", reveal);
reveal();

// Search: every term must begin a word of the post; titles count most, then tags, then the summary.
const form = document.querySelector("[data-search]");
if (form) {
  const field = form.elements.q, results = document.getElementById("results");
  const found = document.getElementById("found"), all = document.getElementById("all");
  const most = 50;
  let index = null, asked = 0;

  const folded = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const begins = (text, term) => text.startsWith(term) || text.includes(` ${term}`);

  async function load() {
    index ??= fetch(form.dataset.search).then((answer) => {
      if (!answer.ok) throw new Error(String(answer.status));
      return answer.json();
    }).then((rows) => rows.map((row) => ({
      row, title: folded(row.title), tags: folded(row.tags.join(" ")), summary: folded(row.summary), words: ` ${row.words}`,
    })));
    try { return await index; } catch (error) { index = null; throw error; }
  }

  function worth(post, terms) {
    let sum = 0;
    for (const term of terms) {
      const part = (begins(post.title, term) && 8) || (begins(post.tags, term) && 4) || (begins(post.summary, term) && 2) || (begins(post.words, term) && 1);
      if (!part) return 0;
      sum += part;
    }
    return sum;
  }

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  function entry(row) {
    const time = element("time", { dateTime: row.date, textContent: new Date(`${row.date}T00:00:00Z`).toLocaleDateString("en-GB", { dateStyle: "long", timeZone: "UTC" }) });
    const about = element("p", { className: "about" }, time, ` · ${row.minutes} min read`);
    const heading = element("h2", {}, element("a", { href: form.dataset.base + row.path, textContent: row.title, dir: "auto" }));
    return element("li", { className: "entry" }, about, heading, element("p", { className: "summary", textContent: row.summary, dir: "auto" }));
  }

  async function search() {
    const number = ++asked, terms = folded(field.value).split(/\s+/).filter(Boolean);
    all.hidden = terms.length > 0;
    if (!terms.length) { results.replaceChildren(); found.textContent = ""; return; }
    let posts;
    try { posts = await load(); } catch {
      found.textContent = "The index did not load. Try again, or look through the posts by tag.";
      all.hidden = false;
      return;
    }
    if (number !== asked) return;
    const hits = posts.map((post) => [worth(post, terms), post.row]).filter(([sum]) => sum).sort((one, other) => other[0] - one[0]);
    results.replaceChildren(...hits.slice(0, most).map(([, row]) => entry(row)));
    const shown = hits.length > most ? `, the best ${most} are shown` : "";
    found.textContent = hits.length ? `${hits.length} ${hits.length === 1 ? "post" : "posts"}${shown}` : "No post has all of these words. Fewer or shorter ones find more.";
    all.hidden = hits.length > 0;
  }

  field.value = new URLSearchParams(location.search).get("q") || "";
  field.addEventListener("input", search);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    history.replaceState(null, "", `?${new URLSearchParams({ q: field.value })}`);
    search();
  });
  search();
}
