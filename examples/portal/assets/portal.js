// Everything works without this file. With it: copying by a button, times in the reader's own zone, and pages that
// wait for something stay current without a reload.
"use strict";

function enhance(root) {
  for (const time of root.querySelectorAll("time:not([data-ago])")) {
    const moment = new Date(time.dateTime);
    if (!Number.isNaN(moment.valueOf())) {
      time.title = time.textContent;
      const language = document.documentElement.lang;
      time.textContent = moment.toLocaleString(language, { dateStyle: "medium", timeStyle: "medium" });
    }
  }
  if (!navigator.clipboard) return;
  for (const text of root.querySelectorAll("pre[data-copy]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "small";
    button.textContent = text.dataset.copy;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = text.dataset.copied;
      setTimeout(() => { button.textContent = text.dataset.copy; }, 2000);
    });
    const frame = document.createElement("div");
    frame.className = "copyable";
    text.replaceWith(frame);
    frame.append(text, button);
  }
}

async function follow() {
  const main = document.querySelector("main[data-live]");
  if (!main) return;
  // Nothing is replaced under somebody's hands.
  const busy = document.hidden || main.contains(document.activeElement) || !getSelection().isCollapsed;
  if (!busy) {
    try {
      const address = new URL(location.href);
      address.searchParams.delete("done");
      const response = await fetch(address, { headers: { accept: "text/html" } });
      if (response.status === 404) {
        // What the page is about has come to its end.
        location.assign("/caches?done=gone");
        return;
      }
      if (response.ok && !response.redirected) {
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        const fresh = page.querySelector("main");
        enhance(fresh);
        main.replaceWith(document.adoptNode(fresh));
      }
    } catch {
      // The server is away for a moment; the next round asks again.
    }
  }
  setTimeout(follow, 3000);
}

enhance(document);
setTimeout(follow, 3000);
