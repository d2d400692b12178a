// Only in `holdfast blog serve`: the page loads again when the site has been built again.
"use strict";

const source = new EventSource(document.currentScript.dataset.live);
let seen = null;
source.addEventListener("message", (event) => {
  if (seen !== null && seen !== event.data) location.reload();
  seen = event.data;
});
