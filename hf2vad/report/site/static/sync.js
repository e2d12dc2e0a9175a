"use strict";
// What a page shares with the review server: changes are sent, those of others are polled, and `state` says how that went.
hf2vad.sync = (path, { pending, accepted, refused, received }) => {
  const POLL_MS = 5000;
  const RETRY_MS = 2000;
  const listeners = [];
  let state = "";
  let lost = "";
  let tag = "";
  let sending = false;
  let accepts = 0;

  function changed(now = state) {
    state = now;
    listeners.forEach((listener) => listener());
  }

  // One request at a time, each repeated until the server accepts it or, where the caller can drop it, refuses it.
  async function send() {
    const body = pending();
    if (sending || !body) return;
    sending = true;
    try {
      const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
      lost = "";
      if (answer.status === 400 && refused) {
        const why = await answer.text();
        refused();
        changed(`Not saved: ${why.trim()}`);
      } else if (answer.ok) {
        accepted(body, await answer.json());
        accepts += 1;
        changed(pending() ? "Saving …" : "Saved");
      } else throw new Error(await answer.text());
    } catch (error) {
      changed(`Not saved yet, trying again: ${error.message}`);
      setTimeout(send, RETRY_MS);
      return;
    } finally {
      sending = false;
    }
    send();
  }

  // Changes that others have made meanwhile. An answer from before a change was accepted may lack that change.
  async function poll() {
    const before = accepts;
    const answer = await fetch(path, { headers: tag ? { "If-None-Match": tag } : {} });
    if (answer.status === 304) return;
    if (!answer.ok) throw new Error(await answer.text());
    const now = await answer.json();
    if (before !== accepts) return;
    tag = answer.headers.get("ETag") ?? "";
    received(now);
    changed();
  }

  function heard(why) {
    if (why === lost) return;
    lost = why;
    changed();
  }

  function follow() {
    setInterval(() => poll().then(() => heard(""), (error) => heard(`No answer from the server: ${error.message}`)), POLL_MS);
    window.addEventListener("beforeunload", (event) => { if (pending()) event.preventDefault(); });
  }

  return {
    changed,
    follow,
    listen: (listener) => listeners.push(listener),
    save: () => {
      changed("Saving …");
      send();
    },
    state: () => (pending() ? state : lost || state),
  };
};
