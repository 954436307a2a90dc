// Says when nobody answers any more, copies what a button names, puts what is wrong at its field, and hides what was
// said of something else. Everything else is HTML and htmx.
const SILENCE = "The local Kinde does not answer: has it been stopped?";
const OUTDATED = { explain: ".verdict, .answer, .sides", send: ".answer" };

function say(text, kind) {
  const line = document.createElement("p");
  line.className = kind;
  line.textContent = text;
  document.getElementById("notice").replaceChildren(line);
}

function outdate(form, then) {
  const old = [...document.querySelectorAll(OUTDATED[form?.id] ?? "none")].filter(each => !each.matches(".outdated"));
  old.forEach(each => each.classList.add("outdated"));
  if (old.length && then) say(then, "done");
}

function clear(form) {
  form?.querySelectorAll(".error").forEach(each => each.remove());
  form?.querySelectorAll("[aria-invalid]").forEach(each => {
    each.removeAttribute("aria-invalid");
    each.removeAttribute("aria-describedby");
  });
}

function blame(form, problem) {
  const named = `[name="${problem.dataset.field}"]`;
  const field = [...form.querySelectorAll(named)][problem.dataset.row] ?? document.querySelector(named);
  if (!field) return;
  const text = document.createElement("span");
  text.className = "error";
  text.id = "error";
  text.textContent = problem.textContent;
  document.getElementById("error")?.remove();
  (field.closest(".field, fieldset") ?? field.parentElement).append(text);
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", "error");
  field.focus();
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
document.addEventListener("input", ({ target }) => {
  clear(target.form);
  outdate(target.form, target.form?.id === "send" ? "The request has changed: send it." : "This has changed: explain it.");
});
document.addEventListener("htmx:beforeRequest", ({ detail }) => {
  if (detail.elt.matches("form")) clear(detail.elt);
  if (detail.elt.id === "send") outdate(detail.elt);
});
document.addEventListener("htmx:afterRequest", ({ detail }) => {
  const notice = document.getElementById("notice");
  const problem = notice.querySelector("[data-field]");
  if (detail.successful && notice.textContent === SILENCE) notice.replaceChildren();
  if (detail.xhr.status === 422 && problem && detail.elt.matches("form")) blame(detail.elt, problem);
});
document.addEventListener("htmx:afterSettle", ({ detail }) => {
  const minted = detail.xhr.status === 200 && detail.requestConfig.path.startsWith("/mint/");
  if (minted) document.getElementById("result").focus({ preventScroll: true });
});
document.addEventListener("htmx:sendError", () => {
  if (document.getElementById("notice").textContent !== SILENCE) say(SILENCE, "wrong");
});
