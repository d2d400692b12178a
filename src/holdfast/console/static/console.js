// What pages gain with a script. Every page works without: forms send, links lead, results come.
"use strict";

document.documentElement.classList.add("has-script");

// Colours: at once, and remembered as the server would.
for (const form of document.querySelectorAll("[data-theme-form]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const theme = event.submitter.value;
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `theme=${theme}; Path=/; SameSite=Strict; Max-Age=${theme ? 34560000 : 0}${secure}`;
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    for (const button of form.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.value === theme));
    }
  });
}

// Times as the reader's clock shows them; the server wrote UTC.
function localTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.valueOf())) continue;
    element.title = element.textContent;
    element.textContent = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  }
}
localTimes(document);

// The editor: Tab indents, Escape lets go of it, Control and Enter run.
for (const editor of document.querySelectorAll("[data-editor]")) {
  let letGo = false;
  editor.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      editor.form.requestSubmit();
    } else if (event.key === "Escape") {
      letGo = true;
    } else if (event.key === "Tab" && !event.shiftKey && !letGo && !event.ctrlKey && !event.altKey) {
      event.preventDefault();
      // So that the browser's own undo knows of it; setRangeText() would empty its history.
      if (!document.execCommand("insertText", false, "    ")) editor.setRangeText("    ", editor.selectionStart, editor.selectionEnd, "end");
    } else if (event.key !== "Shift") {
      letGo = false;
    }
  });
  editor.addEventListener("blur", () => { letGo = false; });
}

for (const form of document.querySelectorAll("[data-run]")) {
  const language = form.elements.language;
  const source = form.elements.source;
  // Another language brings its sample, unless somebody has written something.
  const samples = new Set([...language.options].map((option) => option.dataset.sample).filter(Boolean));
  language.addEventListener("change", () => {
    const sample = language.selectedOptions[0].dataset.sample;
    if (sample !== undefined && (source.value.trim() === "" || samples.has(source.value))) source.value = sample;
  });
  form.addEventListener("submit", () => {
    const button = form.querySelector("button.button");
    button.setAttribute("aria-disabled", "true");
    button.textContent = "Submitting…";
  });
  // Back from the job's page: the button is itself again.
  window.addEventListener("pageshow", () => {
    const button = form.querySelector("button.button");
    button.removeAttribute("aria-disabled");
    button.textContent = "Run";
  });
}

// A job that goes on: output as it comes, and the whole page anew when its state changes.
const SHOWN = 256 * 1024;

function follow(job) {
  const output = job.querySelector("[data-live-output]");
  const state = job.querySelector("[data-live-state]");
  const events = new EventSource(job.dataset.live);
  let length = 0;

  function append(kind, text) {
    if (length >= SHOWN) return;
    const atEnd = output.scrollHeight - output.scrollTop - output.clientHeight < 24;
    const piece = document.createElement("span");
    piece.className = kind;
    piece.textContent = text.slice(0, SHOWN - length);
    length += text.length;
    output.append(piece);
    if (atEnd) output.scrollTop = output.scrollHeight;
    state.textContent = length >= SHOWN ? "More than is shown here; all of it is there at the end." : "Live.";
  }

  async function fetchJob() {
    const answer = await fetch(location.pathname, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("job");
    if (!fresh) throw new Error(String(answer.status));
    return fresh;
  }

  // One look at a time, and one more if something happened meanwhile: an answer that was overtaken would show the past.
  let looking = false;
  let lookAgain = false;

  async function look() {
    if (looking) { lookAgain = true; return; }
    looking = true;
    try {
      do {
        lookAgain = false;
        const fresh = await fetchJob();
        localTimes(fresh);
        if (!fresh.dataset.live) {
          events.close();
          job.replaceWith(fresh);
          return;
        }
        for (const part of [".heading", ".lead", "aside"]) job.querySelector(part).replaceWith(fresh.querySelector(part));
      } while (lookAgain);
    } catch {
      state.textContent = "The console does not answer; reload the page to see how far the job is.";
    } finally {
      looking = false;
    }
  }

  for (const kind of ["stdout", "stderr"]) {
    events.addEventListener(kind, (event) => append(kind, JSON.parse(event.data).text));
  }
  for (const kind of ["started", "retry", "cancelling", "finished", "dead", "replayed"]) {
    events.addEventListener(kind, look);
  }
  events.addEventListener("error", () => {
    if (events.readyState !== EventSource.CLOSED) return; // it comes back by itself
    state.textContent = "No live output at the moment.";
    const timer = setInterval(() => (job.isConnected ? look() : clearInterval(timer)), 3000);
    look();
  });
}

for (const job of document.querySelectorAll("[data-live]")) follow(job);
