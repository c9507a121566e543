/** Who reads a body slowly slows its uploader down: what is between them is bounded, on each runtime. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { systemClock } from "../../src/lib/clock.ts";
import { type Child, startChild } from "../support/child.ts";
import { commandFor, ROOT, RUNTIMES } from "../support/runtimes.ts";
import { until } from "../support/until.ts";
import { FRAMINGS, Uploader } from "./uploader.ts";

const BODY_BYTES = 128 * 1024 * 1024;
/** What the kernel holds for both ends, some 10 MB on Linux, and what the runtime has read ahead. */
const UNREAD_BYTES_MAX = 16 * 1024 * 1024;
/** An uploader that could not hand on a byte for so long is held up by its reader. */
const STANDSTILL_MS = 500;

describe.each(RUNTIMES)("on %s", (runtime) => {
  let child: Child;
  let port: number;
  beforeAll(async () => {
    child = startChild(...commandFor(runtime, "test/server/body_child.ts"), { cwd: ROOT });
    const [, printed] = await child.waitFor(/^listening on (\d+)$/m);
    port = Number(printed);
  }, 30_000);
  afterAll(() => child.kill());

  describe.each(FRAMINGS)("a body with %s", (framing) => {
    test.each([["has stopped", "/stop"], ["has not begun", "/wait"]])(
      "whose reader %s holds its uploader up, and goes on whole with its reader",
      async (_state, path) => {
        const uploader = await Uploader.connect(port, path, framing, BODY_BYTES);
        const sent = uploader.sendAll();
        let taken = -1;
        let since = systemClock.now();
        await until("the uploader stands still", () => {
          if (uploader.takenBytes !== taken) since = systemClock.now();
          taken = uploader.takenBytes;
          return systemClock.now() - since > STANDSTILL_MS;
        }, 20_000);
        expect(taken).toBeGreaterThan(0);
        expect(taken).toBeLessThan(UNREAD_BYTES_MAX);
        expect(uploader.closed).toBe(false);
        await (await fetch(`http://127.0.0.1:${port}/go`, { method: "POST" })).text();
        await sent;
        await until("it is answered", () => uploader.answer.endsWith(`read ${BODY_BYTES}`), 20_000);
        uploader.destroy();
      },
      60_000,
    );
  });
});
