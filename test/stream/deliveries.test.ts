/** What arrives: every size in every delivery, on another node and on the caller's own. */
import { describe, expect, test } from "bun:test";
import type { Bytes } from "../../src/lib/bytes.ts";
import type { StreamDelivery } from "../../src/stream/contract.ts";
import { bytesOf } from "../support/fake_sdk.ts";
import { expectBytes, parts, pattern, received, Source, StreamWorld } from "../support/stream_world.ts";

const CHUNK = 65_536;
const SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 40 * CHUNK];
const PLACES = [["on another node", 2], ["on the caller's own node", 1]] as const;

describe.each(PLACES)("a stream to a client %s", (_, nodes) => {
  test.each(SIZES)("of %i bytes arrives whole in each delivery", async (size) => {
    const world = await StreamWorld.of(nodes);
    const [plain, chunked] = [world.b.connect("plain"), world.b.connect("chunked")];
    const sdk = world.b.connectSdk("sdk");
    await world.ready();
    const whole = pattern(size);
    const send = (id: string, delivery?: StreamDelivery) =>
      world.run(world.a.cluster.deliverStream(id, new Source(parts(whole, 10_000)).readable, { delivery }));
    const chunks = Math.ceil(size / CHUNK);
    const arrived = { bytes: size, chunks, ms: expect.any(Number), reason: undefined };

    expect(await send("plain")).toEqual({ outcome: "delivered", ...arrived });
    expect(plain.received.length).toBe(1);
    expectBytes(plain.received[0] as Bytes, whole);

    expect(await send("chunked", "chunks")).toEqual({ outcome: "delivered", ...arrived });
    expect(chunked.received.map(({ length }) => length)).toEqual(
      Array.from({ length: chunks }, (_, index) => Math.min(CHUNK, size - index * CHUNK)),
    );
    expectBytes(received(chunked.received), whole);

    expect(await send("sdk")).toEqual({ outcome: "acknowledged", ...arrived });
    expect(sdk.streams[0]?.head).toEqual({ text: false, totalBytes: null, metadata: null });
    expect(sdk.streams[0]?.verified).toBe(true);
    expectBytes(bytesOf(sdk.streams[0]), whole);
    await world.expectNothingLeft();
  }, 20_000);
});
