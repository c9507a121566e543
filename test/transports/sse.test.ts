import { describe, expect, test } from "bun:test";
import { utf8 } from "../../src/lib/bytes.ts";
import { readEvents } from "../../transports/sse.ts";

/** What is read of `text` that comes in pieces of `size` bytes, and whether all of it was. */
async function read(text: string, size: number): Promise<{ whole: boolean; heard: string[] }> {
  const bytes = utf8(text);
  let at = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= bytes.byteLength) controller.close();
      else controller.enqueue(bytes.slice(at, at += size));
    },
  });
  const heard: string[] = [];
  return { whole: await readEvents(body, (data) => void heard.push(data)), heard };
}

describe("server-sent events", () => {
  test.each([1, 2, 7, 1_000])("are read whole from pieces of %d bytes", async (size) => {
    const { whole, heard } = await read(
      ": comment\n\ndata: one,ä€😀\r\n\ndata:two\nevent: x\ndata:\n\nid: 3\n",
      size,
    );
    expect([whole, heard]).toEqual([true, ["one,ä€😀", "two", ""]]);
  });

  test("without an end of the line are not data yet", async () => {
    expect(await read("data: one\ndata: tw", 4)).toEqual({ whole: true, heard: ["one"] });
  });

  test("end when the signal fires, before or while they are read, where the body does not", async () => {
    for (const before of [true, false]) {
      const cut = new AbortController();
      let cancelled = false;
      const body = new ReadableStream<Uint8Array>({ cancel: () => void (cancelled = true) });
      if (before) cut.abort();
      const reading = readEvents(body, () => undefined, cut.signal);
      cut.abort();
      expect([await reading, cancelled]).toEqual([true, true]);
    }
  });

  test("end where a line is over a megabyte", async () => {
    const { whole, heard } = await read(`data: one\ndata: ${"x".repeat(1_100_000)}\ndata: two\n`, 65_536);
    expect([whole, heard]).toEqual([false, ["one"]]);
  });
});
