// How the page asks its worker. Reads are GETs; writes are POSTs of JSON with the header that no foreign page can send.

export class Refused extends Error {
  constructor(status, message, hint, body) {
    super(message);
    this.status = status;
    this.hint = hint;
    this.body = body;
  }
}

const SECONDS = 15;

export const get = (path, query = {}, options = {}) => ask(address(path, query), { ...options });

export const post = (path, body = {}, options = {}) => ask(path, {
  ...options, method: "POST", body: JSON.stringify(body),
  headers: { "Content-Type": "application/json", "X-CDC-Request": "1" },
});

// Path with a query; what is empty is left out.
export function address(path, query = {}) {
  const parameters = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== ""));
  const text = parameters.toString();
  return text ? `${path}?${text}` : path;
}

async function ask(url, { seconds = SECONDS, signal, ...options }) {
  const limit = AbortSignal.timeout(seconds * 1000);
  let answer;
  try {
    answer = await fetch(url, {
      credentials: "same-origin", cache: "no-store", redirect: "error",
      signal: signal ? AbortSignal.any([signal, limit]) : limit, ...options,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused(0, limit.aborted ? `no answer within ${seconds} s` : "this worker does not answer", "is it running?");
  }
  const body = await answer.json().catch(() => null);
  if (!answer.ok) {
    throw new Refused(answer.status, String(body?.error ?? `answer ${answer.status}`), body?.hint ?? "", body);
  }
  if (body === null) throw new Refused(answer.status, "the answer is no JSON", "");
  return body;
}
