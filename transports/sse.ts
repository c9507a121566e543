/** Server-sent events, as far as Redis over HTTP uses them: one line of data each. */

/** UTF-16 units of the longest line: a longer one is no message of ours. */
const LINE_LENGTH_MAX = 1_048_576;

/**
 * Calls `data` with what follows `data:` on each line. Resolves when the stream has ended, or was ended by `signal`; false:
 * a line was too long, and the rest was not read. Rejects when the stream breaks.
 */
export async function readEvents(
  body: ReadableStream<Uint8Array>,
  data: (text: string) => void,
  signal?: AbortSignal,
): Promise<boolean> {
  const reader = body.getReader();
  const end = (): Promise<void> => reader.cancel().catch(() => undefined);
  // Deno's fetch ends no body by its signal once garbage was collected (2.9.5).
  signal?.addEventListener("abort", end, { once: true });
  if (signal?.aborted === true) void end();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return true;
      rest += decoder.decode(value, { stream: true });
      let from = 0;
      for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n", from)) {
        if (end - from > LINE_LENGTH_MAX) return false;
        const line = rest.slice(from, end).replace(/\r$/, "");
        from = end + 1;
        if (line.startsWith("data:")) data(line.slice(line[5] === " " ? 6 : 5));
      }
      rest = rest.slice(from);
      if (rest.length > LINE_LENGTH_MAX) return false;
    }
  } finally {
    signal?.removeEventListener("abort", end);
    await end();
  }
}
