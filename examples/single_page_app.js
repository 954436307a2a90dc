// Signing in by authorization code with PKCE (RFC 7636), and calling the API. Tokens are kept in memory alone: a reload
// forgets them, and nothing that reads the browser's storage finds them. At Kinde signing in again is then one redirect.

const { issuer, audience, clientId } = await (await fetch("/sign-in.json")).json();
const home = `${location.origin}/`;
const BEGUN = "signing in";
const element = (id) => document.getElementById(id);

let tokens = null; // { access, refresh, expires, person }
let refreshing = null; // a refresh token works once, so calls at the same time share one request

async function signIn() {
  const begun = { verifier: random(), state: random(), nonce: random() };
  sessionStorage.setItem(BEGUN, JSON.stringify(begun)); // of no use to anybody without the code
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(begun.verifier));
  location.assign(`${issuer}/oauth2/auth?${new URLSearchParams({
    response_type: "code",
    client_id: clientId,
    redirect_uri: home,
    scope: "openid profile email offline",
    audience,
    state: begun.state,
    nonce: begun.nonce,
    code_challenge: base64url(new Uint8Array(digest)),
    code_challenge_method: "S256",
  })}`);
}

async function finishSigningIn() {
  const answer = new URLSearchParams(location.search);
  const begun = JSON.parse(sessionStorage.getItem(BEGUN));
  sessionStorage.removeItem(BEGUN);
  if (!answer.has("code") && !answer.has("error")) return;
  history.replaceState(null, "", "/"); // the code stays in no history
  if (begun === null || answer.get("state") !== begun.state) throw new Error("that was no answer to a sign-in begun here.");
  if (answer.has("error")) throw new Error(answer.get("error_description") ?? answer.get("error"));
  await redeem(
    { grant_type: "authorization_code", code: answer.get("code"), redirect_uri: home, code_verifier: begun.verifier },
    begun.nonce,
  );
}

async function redeem(parameters, nonce) {
  const body = new URLSearchParams({ client_id: clientId, ...parameters });
  const response = await fetch(`${issuer}/oauth2/token`, { method: "POST", body });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error_description ?? answer.error);
  // It comes straight from the issuer, so its signature need not be checked (OpenID Connect Core 1.0 §3.1.3.7).
  const person = answer.id_token === undefined ? tokens?.person : claims(answer.id_token);
  if (nonce !== undefined && person?.nonce !== nonce) throw new Error("the ID token belongs to another sign-in.");
  tokens = {
    access: answer.access_token,
    refresh: answer.refresh_token,
    expires: Date.now() + answer.expires_in * 1000,
    person,
  };
}

async function accessToken() {
  if (tokens !== null && tokens.expires < Date.now() + 30_000) {
    refreshing ??= refresh().finally(() => { refreshing = null; });
    await refreshing;
  }
  return tokens?.access;
}

async function refresh() {
  try {
    if (tokens.refresh === undefined) throw new Error("it has expired.");
    await redeem({ grant_type: "refresh_token", refresh_token: tokens.refresh });
  } catch (error) {
    tokens = null;
    showPerson();
    throw error;
  }
}

function signOut() {
  tokens = null;
  location.assign(`${issuer}/logout?${new URLSearchParams({ redirect: home })}`);
}

async function call(method, path) {
  const token = await accessToken();
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  if (method === "POST") headers["Content-Type"] = "application/json";
  const response = await fetch(path, { method, headers, body: method === "POST" ? '{"dark_mode": true}' : undefined });
  showAnswer(`${method} ${path}: ${response.status} ${response.statusText}`, response.ok, await explained(response));
}

// What a person can read of the answer: the data, or why there is none (RFC 9457, and RFC 6750 §3 for the scope).
async function explained(response) {
  const answer = await response.json();
  if (response.ok) return JSON.stringify(answer, null, 2);
  const scope = / scope="([^"]*)"/.exec(response.headers.get("WWW-Authenticate") ?? "")?.[1];
  return scope === undefined ? answer.detail : `${answer.detail} It needs: ${scope}`;
}

function showPerson() {
  element("person").hidden = tokens === null;
  element("stranger").hidden = tokens !== null;
  element("name").textContent = tokens?.person?.name ?? tokens?.person?.sub ?? "somebody";
  element("email").textContent = tokens?.person?.email ?? "";
}

function showAnswer(title, good, text) {
  const answer = document.createElement("div");
  answer.className = good ? "answer good" : "answer";
  const heading = answer.appendChild(document.createElement("h3"));
  heading.textContent = title;
  answer.appendChild(document.createElement(good ? "pre" : "p")).textContent = text;
  element("answer").replaceChildren(answer);
}

function attempt(what, work) {
  return async () => {
    element("problem").hidden = true;
    try {
      await work();
    } catch (error) {
      element("problem").textContent = `${what} failed: ${error.message}`;
      element("problem").hidden = false;
    }
  };
}

function random() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function claims(jwt) {
  const bytes = atob(jwt.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
  return JSON.parse(new TextDecoder().decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0))));
}

element("sign-in").addEventListener("click", attempt("Signing in", signIn));
element("sign-out").addEventListener("click", signOut);
for (const button of document.querySelectorAll("[data-call]")) {
  button.addEventListener("click", attempt("The call", () => call(...button.dataset.call.split(" "))));
}
await attempt("Signing in", finishSigningIn)();
showPerson();
element("calls").hidden = false; // now the buttons do something
