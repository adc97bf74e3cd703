"use strict";
// Takes the page's changing part from the gateway every 2 s while somebody sees it, and changes what is different:
// whatever has the focus, and where the page is scrolled to, stays.
const REFRESH = 2000, LIMIT = 10000, UNDO = 3000;
const base = document.body.dataset.base;
const lost = document.getElementById("lost"), told = document.getElementById("told");
const pending = new Map(); // kernel id -> the timer of its shutdown, or null once it was sent
let timer = null, asking = false, isOut = false, answered = new Date();

function show(element, text) {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = !text && element === lost;
}

// How a kernel's button looks while its shutdown is pending.
function mark(root) {
  for (const button of root.querySelectorAll("button[data-shutdown]")) {
    const id = button.dataset.shutdown;
    if (!pending.has(id)) continue;
    const isSent = pending.get(id) === null;
    button.textContent = isSent ? "Shutting down" : "Undo";
    button.setAttribute("aria-label", (isSent ? "Shutting down kernel " : "Undo: don't shut down kernel ") + id);
    button.classList.toggle("undo", !isSent);
    button.setAttribute("aria-disabled", String(isSent));
  }
}

function times(root) {
  for (const each of root.querySelectorAll("time")) each.textContent = new Date(each.dateTime).toLocaleString();
}

// Make `old` as `fresh` is, element by element; rows are known by their ids.
function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeName !== fresh.nodeName || old.id !== fresh.id) return old.replaceWith(fresh);
  if (old.nodeType !== Node.ELEMENT_NODE) { old.nodeValue = fresh.nodeValue; return; }
  const kept = old.nodeName === "DETAILS" ? ["open"] : [];
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !kept.includes(name)) old.removeAttribute(name);
  for (const { name, value } of [...fresh.attributes]) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const byId = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  const wanted = [...fresh.childNodes], ids = new Set(wanted.map((child) => child.id).filter(Boolean));
  for (const child of byId.values()) if (!ids.has(child.id)) child.remove();
  let at = old.firstChild;
  for (const child of wanted) {
    const known = child.id && byId.get(child.id);
    if (known && known !== at) { old.insertBefore(known, at); at = known; }
    if (!at) { old.append(child); continue; }
    const next = at.nextSibling;
    if (!known && at.id) { old.insertBefore(child, at); continue; }
    morph(at, child);
    at = next;
  }
  while (at) { const next = at.nextSibling; at.remove(); at = next; }
}

async function refresh() {
  if (asking || isOut) return;
  asking = true;
  clearTimeout(timer);
  try {
    const answer = await fetch(base + "?part=main", { signal: AbortSignal.timeout(LIMIT), headers: { Accept: "text/plain" } });
    if (answer.status === 401) isOut = true;
    if (isOut) return show(lost, "You are signed out: the gateway was started anew, or your token holds no more. Reload the page to sign in.");
    if (!answer.ok) throw new Error(String(answer.status));
    const fresh = document.createElement("template");
    fresh.innerHTML = await answer.text();
    draw(fresh.content.querySelector("#main"));
    answered = new Date();
    show(lost, "");
  } catch (error) {
    show(lost, "The gateway does not answer. What you see is of " + answered.toLocaleTimeString() + "; it is asked again and again.");
  } finally {
    asking = false;
    if (!document.hidden && !isOut) timer = setTimeout(refresh, REFRESH);
  }
}

function draw(fresh) {
  for (const id of [...pending.keys()]) if (!fresh.querySelector(`[data-shutdown="${CSS.escape(id)}"]`)) pending.delete(id);
  const focus = document.activeElement.closest("section");
  mark(fresh);
  times(fresh);
  morph(document.getElementById("main"), fresh);
  // Whoever has shut down a kernel by the keyboard goes on from where its row was.
  if (focus && document.activeElement === document.body) focus.querySelector("h2").focus();
}

function press(id) {
  if (pending.get(id) === null) return;
  if (pending.has(id)) {
    clearTimeout(pending.get(id));
    pending.delete(id);
    show(told, "Kernel " + id + " goes on.");
    const button = document.querySelector(`[data-shutdown="${CSS.escape(id)}"]`);
    button.textContent = "Shut down";
    button.classList.remove("undo");
    button.setAttribute("aria-label", "Shut down kernel " + id);
    refresh();
  } else {
    pending.set(id, setTimeout(end, UNDO, id));
    show(told, "Kernel " + id + " is shut down in 3 seconds.");
    mark(document);
  }
}

async function end(id) {
  clearTimeout(pending.get(id));
  pending.set(id, null);
  mark(document);
  let problem = "";
  try {
    const answer = await fetch(base + "kernels/" + encodeURIComponent(id), { method: "DELETE", keepalive: true });
    if (!answer.ok && answer.status !== 404) problem = (await answer.json()).message;
  } catch (error) {
    problem = "the gateway does not answer.";
  }
  if (problem) pending.delete(id);
  show(told, problem ? "Kernel " + id + " could not be shut down: " + problem : "Kernel " + id + " is shut down.");
  refresh();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-shutdown]");
  if (button) press(button.dataset.shutdown);
});
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
// Whoever goes away within the 3 seconds has not taken it back.
addEventListener("pagehide", () => { for (const [id, waits] of pending) if (waits !== null) end(id); });
times(document);
timer = setTimeout(refresh, REFRESH);
