// The server's API: answers as objects, failures as errors that say in words what happened.

/** A failure that can be shown as it is. `status` is HTTP's, 0 where the server could not be reached. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** GET api/`path`. */
export const get = (path) => ask(`api/${path}`);

/** POST an object to `path`. */
export function post(path, body) {
  return ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, { cache: "no-store", ...options });
  } catch {
    throw new ApiError("The server cannot be reached. Is it still running?", 0);
  }
  const body = await answer.json().catch(() => null);
  if (!answer.ok) {
    throw new ApiError(body?.error?.message ?? `The server answered with status ${answer.status}.`, answer.status);
  }
  return body;
}

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 20000;
const HIDDEN_MS = 15000;

/**
 * Listen to api/events for as long as the page lives, and come back after every break.
 *
 * on       the handlers of events by their name, each called with the event's object
 * changed  called with "live", "reconnecting" or "refused" (no key, or not any more)
 *
 * A browser gives a host six connections for all of its tabs, so a tab that nobody sees lets go of its own.
 */
export function listen(on, changed) {
  let source = null;
  let wait = FIRST_WAIT_MS;
  let timer = 0;
  let hiding = 0;

  function open() {
    clearTimeout(timer);
    source?.close();
    source = new EventSource("api/events");
    source.onopen = () => {
      wait = FIRST_WAIT_MS;
      changed("live");
    };
    source.onerror = again;
    for (const [name, handler] of Object.entries(on)) {
      source.addEventListener(name, (event) => handler(JSON.parse(event.data)));
    }
  }

  async function again() {
    source?.close();
    source = null;
    changed("reconnecting");
    clearTimeout(timer);
    timer = setTimeout(open, wait);
    wait = Math.min(2 * wait, LONGEST_WAIT_MS);
    // an EventSource does not tell why it broke: ask, so that a key that ended is not tried for ever
    const status = await get("overview").then(() => 200, (error) => error.status);
    if (status === 401 || status === 403) {
      clearTimeout(timer);
      changed("refused");
    }
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (!document.hidden && source === null) open();
    if (document.hidden) {
      hiding = setTimeout(() => {
        clearTimeout(timer);
        source?.close();
        source = null;
      }, HIDDEN_MS);
    }
  });
  open();
}
