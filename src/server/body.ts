import { type Bytes, joinBytes } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import { errorResponse } from "./exchange.ts";

/** How long a sender may pause within a body. */
const BODY_PAUSE_MS_MAX = 30_000;

/**
 * The body of `request`, read no further than `bytesMax`; or the response to give instead: 413, 408 when the
 * sender pauses for 30 s, 400 when it breaks off.
 */
export async function readBody(request: Request, bytesMax: number, clock: Clock): Promise<Bytes | Response> {
  const tooLarge = (): Response =>
    errorResponse(413, "too-large", `the body is longer than ${bytesMax} bytes`);
  if (Number(request.headers.get("content-length") ?? 0) > bytesMax) return tooLarge();
  if (request.body === null) return new Uint8Array(0);
  const reader = request.body.getReader();
  const giveUp = (): void => void reader.cancel().catch(() => undefined);
  const chunks: Uint8Array[] = [];
  let length = 0;
  let paused = false;
  try {
    while (true) {
      const pause = clock.timer(BODY_PAUSE_MS_MAX, () => {
        paused = true;
        giveUp();
      });
      const { done, value } = await reader.read().finally(() => pause.cancel());
      if (paused) {
        return errorResponse(408, "timeout", `no byte of the body came for ${BODY_PAUSE_MS_MAX} ms`);
      }
      if (done) return joinBytes(chunks);
      length += value.byteLength;
      if (length > bytesMax) {
        giveUp();
        return tooLarge();
      }
      chunks.push(value);
    }
  } catch {
    return errorResponse(400, "malformed", "the body ended early");
  }
}
