/** What nodes and SDK clients say to each other: round trips, and what is refused. */
import { describe, expect, test } from "bun:test";
import {
  CANCEL_REASON_BYTES_MAX,
  decodeFromClient,
  decodeToClient,
  encodeAbort,
  encodeCancel,
  encodeCredit,
  encodeData,
  encodeEnd,
  encodeFinished,
  encodeHello,
  encodeMessage,
  encodeOpen,
  type FromClient,
  KIND,
  type ToClient,
} from "../../src/client_protocol.ts";
import { type Bytes, concatBytes, utf8 } from "../../src/lib/bytes.ts";
import { FlotillaError } from "../../src/lib/errors.ts";
import { randomBelow, seededRandom } from "../../src/lib/random.ts";
import { firstSeed } from "../support/measure.ts";
import { mutated } from "../support/mutated.ts";

const U32_MAX = 4_294_967_295;
const U48_MAX = 281_474_976_710_655;

const TO_CLIENT: readonly (readonly [string, Bytes, ToClient])[] = [
  ["a message", encodeMessage(utf8("hi")), { kind: "message", payload: utf8("hi") }],
  ["an empty message", encodeMessage(new Uint8Array(0)), { kind: "message", payload: new Uint8Array(0) }],
  ["hello", encodeHello("aliçe", "n1"), { kind: "hello", connectionId: "aliçe", nodeId: "n1" }],
  ["open", encodeOpen(7, { text: true, totalBytes: 9, metadata: { name: "a.png", tags: [1, null] } }), {
    kind: "open",
    stream: 7,
    head: { text: true, totalBytes: 9, metadata: { name: "a.png", tags: [1, null] } },
  }],
  ["open with nothing known", encodeOpen(U32_MAX, { text: false, totalBytes: null, metadata: undefined }), {
    kind: "open",
    stream: U32_MAX,
    head: { text: false, totalBytes: null, metadata: null },
  }],
  ["data", encodeData(1, utf8("xyz")), { kind: "data", stream: 1, payload: utf8("xyz") }],
  ["end", encodeEnd(1, U48_MAX, 0xffff_ffff_ffff_fffen), {
    kind: "end",
    stream: 1,
    bytes: U48_MAX,
    digest: 0xffff_ffff_ffff_fffen,
  }],
  ["abort", encodeAbort(1, "timeout", "too slow"), {
    kind: "abort",
    stream: 1,
    code: "timeout",
    message: "too slow",
  }],
];

const FROM_CLIENT: readonly (readonly [string, Bytes, FromClient])[] = [
  ["a message", encodeMessage(utf8("hi")), { kind: "message", payload: utf8("hi") }],
  ["credit", encodeCredit(U32_MAX, U48_MAX, 4_294_967_296), {
    kind: "credit",
    stream: U32_MAX,
    bytes: U48_MAX,
    chunks: 4_294_967_296,
  }],
  ["cancel", encodeCancel(2, "genug"), { kind: "cancel", stream: 2, reason: "genug" }],
  ["finished", encodeFinished(3), { kind: "finished", stream: 3 }],
];

const json = (kind: number, text: string, stream = [0, 0, 0, 1]): Bytes =>
  concatBytes(new Uint8Array(kind === KIND.hello ? [kind] : [kind, ...stream]), utf8(text));

/** Whether it throws `malformed`; what else it throws goes on. */
function isRefused(decode: () => unknown): boolean {
  try {
    decode();
    return false;
  } catch (thrown) {
    if (thrown instanceof FlotillaError && thrown.code === "malformed") return true;
    throw thrown;
  }
}

describe("round trips", () => {
  test.each(TO_CLIENT)("%s reaches the client as it was", (_, frame, meant) => {
    expect(decodeToClient(frame)).toEqual(meant);
  });

  test.each(FROM_CLIENT)("%s reaches the node as it was", (_, frame, meant) => {
    expect(decodeFromClient(frame)).toEqual(meant);
  });

  test("payloads are views of the frame, not copies", () => {
    const frame = encodeData(1, utf8("xyz"));
    const data = decodeToClient(frame);
    expect(data.kind === "data" && data.payload.buffer === frame.buffer).toBe(true);
  });

  test("a long reason is cut between characters", () => {
    const frame = encodeCancel(1, "ä".repeat(1 + CANCEL_REASON_BYTES_MAX / 2) + "x");
    expect(decodeFromClient(frame)).toEqual({
      kind: "cancel",
      stream: 1,
      reason: "ä".repeat(CANCEL_REASON_BYTES_MAX / 2),
    });
    expect(decodeFromClient(encodeCancel(1, "x" + "ä".repeat(600)))).toEqual({
      kind: "cancel",
      stream: 1,
      reason: "x" + "ä".repeat(CANCEL_REASON_BYTES_MAX / 2 - 1),
    });
  });
});

describe("the client refuses", () => {
  test.each<[string, Bytes]>([
    ["nothing at all", new Uint8Array(0)],
    ["a kind that does not exist", new Uint8Array([99, 0, 0, 0, 1])],
    ["what only clients say", encodeFinished(1)],
    ["a number of a stream that is cut off", new Uint8Array([KIND.data, 0, 0])],
    ["an end that is cut off", encodeEnd(1, 2, 3n).slice(0, 18)],
    ["an end with more behind it", concatBytes(encodeEnd(1, 2, 3n), new Uint8Array(1))],
    ["a hello that is no JSON", json(KIND.hello, "{")],
    ["a hello that is no object", json(KIND.hello, "5")],
    ["a hello of null", json(KIND.hello, "null")],
    ["a hello without ids", json(KIND.hello, "{}")],
    ["a hello whose id is a number", json(KIND.hello, '{"connectionId":1,"nodeId":"n"}')],
    ["a hello that is not UTF-8", new Uint8Array([KIND.hello, 0xff, 0xfe])],
    ["a head that is an array", json(KIND.open, "[]")],
    ["a head that does not say whether it is text", json(KIND.open, '{"totalBytes":null}')],
    ["a head with a fraction of bytes", json(KIND.open, '{"text":true,"totalBytes":1.5}')],
    ["a head with less than no bytes", json(KIND.open, '{"text":true,"totalBytes":-1}')],
    ["a head without totalBytes", json(KIND.open, '{"text":true}')],
    ["a head nested without end", json(KIND.open, "[".repeat(200_000))],
    ["an abort without a code", json(KIND.abort, '{"message":"m"}')],
    ["an abort whose message is an object", json(KIND.abort, '{"code":"timeout","message":{}}')],
  ])("%s", (_, frame) => {
    expect(isRefused(() => decodeToClient(frame))).toBe(true);
  });
});

describe("the node refuses", () => {
  test.each<[string, Bytes]>([
    ["nothing at all", new Uint8Array(0)],
    ["a kind that does not exist", new Uint8Array([19, 0, 0, 0, 1])],
    ["what only nodes say", encodeData(1, utf8("x"))],
    ["a credit that is cut off", encodeCredit(1, 2, 3).slice(0, 16)],
    ["a credit with more behind it", concatBytes(encodeCredit(1, 2, 3), new Uint8Array(1))],
    ["a finished with more behind it", concatBytes(encodeFinished(1), new Uint8Array(1))],
    ["a reason that is not UTF-8", concatBytes(encodeCancel(1, ""), new Uint8Array([0xc3]))],
    ["a reason too long", concatBytes(encodeCancel(1, ""), new Uint8Array(CANCEL_REASON_BYTES_MAX + 1))],
  ])("%s", (_, frame) => {
    expect(isRefused(() => decodeFromClient(frame))).toBe(true);
  });
});

test("random changes of every frame are read or refused as malformed, by both ends", () => {
  const random = seededRandom(firstSeed(11));
  const frames = [...TO_CLIENT, ...FROM_CLIENT].map(([, frame]) => frame);
  let refused = 0;
  for (let round = 0; round < 20_000; round++) {
    const changes = [randomBelow(random, 60_000), randomBelow(random, 60_000)];
    const frame = mutated(frames[round % frames.length] as Bytes, changes);
    for (const decode of [decodeToClient, decodeFromClient]) {
      if (isRefused(() => decode(frame))) refused++;
    }
  }
  expect(refused).toBeGreaterThan(1_000);
});
