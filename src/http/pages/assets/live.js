// Keeps a page as it is at the server: when the stream of events tells of something, the page is fetched again, and only
// what changed is put in its place, so that focus, selection and scrolling stay where they are. Without it every page
// works the same, as of when it was loaded.

const PAUSE_MS = 1000; // between two looks, however much happens
const AGE_MS = 30_000; // ages are told in words, and grow by themselves

const main = document.querySelector("main");
const sign = document.querySelector("#live");
let stream = null;
let timer = null;
let looked = -PAUSE_MS;
let looking = false;
let missed = false;

function show(state, words) {
  sign.className = state;
  sign.textContent = words;
}

// The same node: of one kind, and of one thing where that has a name.
function isSame(old, fresh) {
  return old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName
    && old.dataset?.key === fresh.dataset?.key;
}

function isBeingEdited(node) {
  return node.nodeType === 1 && node.matches("form") && (node.contains(document.activeElement)
    || [...node.querySelectorAll("input:not([type=hidden]), textarea")].some((field) => field.value !== field.defaultValue));
}

function patch(old, fresh) {
  if (old.nodeType !== 1) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.isEqualNode(fresh) || isBeingEdited(old)) return;
  // Whether details are open is the reader's to say.
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  patchChildren(old, fresh);
}

// What has a name is found by it wherever it stands; what has none, by its kind, in its turn. What is gone goes first, so
// that nothing that stays is moved.
function patchChildren(old, fresh) {
  const named = new Map([...old.children].filter((node) => node.dataset.key).map((node) => [node.dataset.key, node]));
  const wanted = new Set([...fresh.children].map((node) => node.dataset.key));
  for (const [key, node] of named) if (!wanted.has(key)) node.remove();
  let place = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    const known = next.dataset?.key ? named.get(next.dataset.key) : null;
    if (known) {
      if (known === place) place = place.nextSibling;
      else old.insertBefore(known, place);
      patch(known, next);
    } else if (place && !place.dataset?.key && isSame(place, next)) {
      const here = place;
      place = place.nextSibling;
      patch(here, next);
    } else {
      old.insertBefore(next, place);
    }
  }
  while (place) {
    const gone = place;
    place = place.nextSibling;
    gone.remove();
  }
}

async function look() {
  timer = null;
  if (looking) return;
  looking = true;
  missed = false;
  looked = performance.now();
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (answer.status === 401) return location.reload();
    if (!answer.ok && answer.status !== 404) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("main");
    if (fresh) patchChildren(main, document.adoptNode(fresh));
    if (stream?.readyState === EventSource.OPEN) show("on", "live");
  } catch {
    show("off", "not up to date");
  } finally {
    looking = false;
    if (missed) lookSoon();
  }
}

// At once, if the last look is long enough ago; what happens meanwhile is seen by one look.
function lookSoon() {
  if (document.hidden) return;
  if (looking) missed = true;
  else if (!timer) timer = setTimeout(look, Math.max(0, looked + PAUSE_MS - performance.now()));
}

// A browser has few connections to one server: a page that nobody sees gives its own up.
function follow() {
  if (document.hidden) {
    stream?.close();
    stream = null;
    return;
  }
  if (stream) return;
  stream = new EventSource("/sse");
  // What happened between the page and the stream is in neither.
  stream.onopen = () => {
    show("on", "live");
    lookSoon();
  };
  stream.onerror = () => {
    show("off", "reconnecting");
    if (stream.readyState === EventSource.CLOSED) {
      stream = null;
      setTimeout(follow, 5 * PAUSE_MS);
      lookSoon();
    }
  };
  for (const kind of ["gap", ...document.body.dataset.kinds.split(" ")]) stream.addEventListener(kind, lookSoon);
}

// On a narrow window the pages stand on one line that is scrolled: this one is among those that show.
const here = document.querySelector("nav [aria-current]");
if (here) here.parentElement.scrollLeft = here.offsetLeft - (here.parentElement.clientWidth - here.offsetWidth) / 2;

document.addEventListener("visibilitychange", () => { follow(); lookSoon(); });
setInterval(lookSoon, AGE_MS);
follow();
