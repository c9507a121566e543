/** Request bodies through the socket adapters, as streams: runs on whatever runtime runs it. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { until } from "../support/until.ts";
import { BodyReader } from "./body_reader.ts";
import { type Framing, FRAMINGS, Uploader } from "./uploader.ts";

/** Bun's own limit is 128 MB when nothing is said. */
const LONG_BYTES = 160 * 1024 * 1024;
/** More than the kernel and a runtime hold together, so that it is under way when the handler has answered. */
const UNDER_WAY_BYTES = 64 * 1024 * 1024;

let server: BodyReader;
beforeAll(async () => {
  server = await BodyReader.start();
});
afterAll(() => server.listener.close());

const uploaders: Uploader[] = [];
afterEach(() => uploaders.splice(0).forEach((each) => each.destroy()));

async function upload(path: string, framing: Framing, bytes: number, to = server): Promise<Uploader> {
  to.reading = undefined;
  const uploader = await Uploader.connect(to.port, path, framing, bytes);
  uploaders.push(uploader);
  return uploader;
}

describe.each(FRAMINGS)("a body with %s", (framing) => {
  test("of 160 MiB is read whole: no limit of a runtime is in the way", async () => {
    const uploader = await upload("/read", framing, LONG_BYTES);
    await uploader.sendAll();
    await until("it is answered", () => uploader.answer.endsWith(`read ${LONG_BYTES}`), 15_000);
    expect(server.reading?.outcome).toBe("whole");
  });

  test.each([0, 1, 70_000])(
    "of %i bytes is whole, also when it is there before it is read",
    async (bytes) => {
      const uploader = await upload("/wait", framing, bytes);
      await uploader.sendAll();
      await until("the handler waits", () => server.reading !== undefined);
      server.go();
      await until("it is answered", () => uploader.answer.includes(`read ${bytes}`));
      expect(server.reading?.outcome).toBe("whole");
    },
  );

  test.each(["end", "reset"] as const)(
    "breaks for its reader when the uploader breaks off (%s)",
    async (how) => {
      for (const bytes of [1, 70_000, 3_000_000]) {
        const uploader = await upload("/read", framing, UNDER_WAY_BYTES);
        await uploader.send(bytes);
        await until("it is being read", () => (server.reading?.bytes ?? 0) > 0);
        uploader[how]();
        await until("its reader knows", () => server.reading?.outcome !== "reading");
        expect([bytes, server.reading?.outcome]).toEqual([bytes, "broken"]);
      }
    },
  );

  test.each(["end", "reset"] as const)(
    "breaks when the uploader was gone before anybody read (%s)",
    async (how) => {
      for (const bytes of [0, 1, 70_000]) {
        const uploader = await upload("/wait", framing, UNDER_WAY_BYTES);
        await uploader.send(bytes);
        await until("the handler waits", () => server.reading !== undefined);
        uploader[how]();
        // Only after another request has gone the whole way, so that the end of this one has come, too.
        await (await fetch(`${server.listener.url}/go`, { method: "POST" })).text();
        await until("its reader knows", () => server.reading?.outcome !== "reading");
        expect([bytes, server.reading?.outcome]).toEqual([bytes, "broken"]);
      }
    },
  );

  test.each(["/refuse", "/refuse-half"])(
    "may be refused while it is under way: the uploader is told at once (%s)",
    async (path) => {
      const uploader = await upload(path, framing, UNDER_WAY_BYTES);
      await uploader.send(1_000_000);
      await until("the refusal is there", () => uploader.answer.endsWith("not wanted"));
      expect(uploader.status).toBe(404);
      const next = await upload("/read", framing, 3);
      await next.sendAll();
      await until("the next one is answered", () => next.answer.includes("read 3"));
    },
  );

  test("may be cancelled, and the uploader is answered", async () => {
    const uploader = await upload("/cancel", framing, UNDER_WAY_BYTES);
    await uploader.send(1_000_000);
    await until("the answer is there", () => uploader.answer.endsWith("cancelled"));
    expect([uploader.status, server.reading?.outcome]).toEqual([400, "cancelled"]);
  });

  test("that nobody reads on does not keep the listener open", async () => {
    const other = await BodyReader.start();
    const uploader = await upload("/stop", framing, UNDER_WAY_BYTES, other);
    void uploader.sendAll();
    await until("the reader has stopped", () => (other.reading?.bytes ?? 0) > 0);
    await other.listener.close();
    await until("the uploader knows", () => uploader.closed);
  });
});
