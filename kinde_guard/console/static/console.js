// Copies what a button names, and says when nobody answers any more. Everything else is HTML and htmx.
const SILENCE = "The local Kinde does not answer: has it been stopped?";

function say(text, kind) {
  const line = document.createElement("p");
  line.className = kind;
  line.textContent = text;
  document.getElementById("notice").replaceChildren(line);
}

document.documentElement.classList.add("js");
document.addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.value ?? source.textContent);
    say("Copied.", "done");
  } catch {
    say("The browser does not let this page copy.", "wrong");
  }
});
document.addEventListener("htmx:afterRequest", ({ detail }) => {
  const notice = document.getElementById("notice");
  if (detail.successful && notice.textContent === SILENCE) notice.replaceChildren();
});
document.addEventListener("htmx:sendError", () => {
  if (document.getElementById("notice").textContent !== SILENCE) say(SILENCE, "wrong");
});
