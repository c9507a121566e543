import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Bytes } from "../../src/lib/bytes.ts";
import { FlotillaError } from "../../src/lib/errors.ts";
import { POSITION_MAX } from "../../src/raft/core/message_check.ts";
import type { ConfState, Entry, Message, Snapshot } from "../../src/raft/core/types.ts";
import {
  decodeConfState,
  decodeEntry,
  decodeMessage,
  decodeSnapshot,
  encodeConfState,
  encodeEntry,
  encodeMessage,
  encodeSnapshot,
} from "../../src/raft/message_codec.ts";
import { mutated } from "../support/mutated.ts";
import { scale } from "../support/scale.ts";

const LIMIT_MS = scale(20_000, 300_000);
const NOTHING = new Uint8Array();

const bytes = (maxLength: number): fc.Arbitrary<Bytes> =>
  fc.uint8Array({ maxLength }).map((array) => new Uint8Array(array));
const position = fc.oneof(fc.nat(300), fc.integer({ min: 0, max: POSITION_MAX }));
const id = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }));
const context = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const ids = fc.array(id, { maxLength: 5 });

const change = fc.record({
  transition: fc.constantFrom("auto" as const, "implicit" as const, "explicit" as const),
  steps: fc.array(
    fc.record({
      operation: fc.constantFrom(
        "add-voter" as const,
        "add-learner" as const,
        "remove" as const,
        "update" as const,
      ),
      id: fc.oneof(id, fc.constant(0)),
    }),
    { maxLength: 4 },
  ),
  context: bytes(20),
});
const proposal = fc.oneof(
  fc.record({ type: fc.constant("normal" as const), data: bytes(40) }),
  fc.record({ type: fc.constant("conf-change" as const), change }),
);
const entry: fc.Arbitrary<Entry> = fc.oneof(
  fc.record({ type: fc.constant("normal" as const), term: position, index: position, data: bytes(200) }),
  fc.record({ type: fc.constant("conf-change" as const), term: position, index: position, change }),
);
const confState: fc.Arbitrary<ConfState> = fc.record({
  voters: ids,
  votersOutgoing: ids,
  learners: ids,
  learnersNext: ids,
  autoLeave: fc.boolean(),
});
const snapshot: fc.Arbitrary<Snapshot> = fc.record({
  index: position,
  term: position,
  confState,
  data: bytes(100),
});

const envelope = { from: id, to: id, term: position };
const of = <Type extends Message["type"]>(...types: Type[]): fc.Arbitrary<Type> => fc.constantFrom(...types);
const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record({
    type: of("append"),
    ...envelope,
    index: position,
    logTerm: position,
    entries: fc.array(entry, { maxLength: 4 }),
    commit: position,
  }),
  fc.record({
    type: of("append-response"),
    ...envelope,
    index: position,
    reject: fc.boolean(),
    hint: position,
    hintTerm: position,
  }),
  fc.record({ type: of("heartbeat"), ...envelope, commit: position, round: position }),
  fc.record({ type: of("heartbeat-response"), ...envelope, round: position }),
  fc.record({
    type: of("vote", "pre-vote"),
    ...envelope,
    index: position,
    logTerm: position,
    transfer: fc.boolean(),
  }),
  fc.record({
    type: of("vote-response", "pre-vote-response"),
    ...envelope,
    reject: fc.boolean(),
    commit: position,
    commitTerm: position,
  }),
  fc.record({ type: of("snapshot"), ...envelope, snapshot }),
  fc.record({ type: of("timeout-now"), ...envelope }),
  fc.record({ type: of("transfer-leader"), ...envelope, transferee: id }),
  fc.record({ type: of("propose"), ...envelope, proposals: fc.array(proposal, { maxLength: 4 }) }),
  fc.record({ type: of("read-index"), ...envelope, context }),
  fc.record({ type: of("read-index-response"), ...envelope, index: position, context }),
);

/** `entry` as it arrives at a witness. */
function bare(entry: Entry): Entry {
  return entry.type === "normal"
    ? { ...entry, data: NOTHING }
    : { ...entry, change: { ...entry.change, context: NOTHING } };
}

/** Whether `decode` reads `bytes`; false when it calls them malformed. Anything else is thrown. */
function reads(decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): boolean {
  try {
    decode(bytes);
    return true;
  } catch (thrown) {
    if (thrown instanceof FlotillaError && thrown.code === "malformed") return false;
    throw thrown;
  }
}

/** What is true of every encoding. */
function describeCodec<Value>(
  name: string,
  arbitrary: fc.Arbitrary<Value>,
  encode: (value: Value) => Bytes,
  decode: (bytes: Uint8Array) => Value,
): void {
  describe(`a ${name}`, () => {
    test("comes out as it went in", () => {
      fc.assert(fc.property(arbitrary, (value) => expect(decode(encode(value))).toEqual(value)), {
        numRuns: scale(500, 50_000),
      });
    }, LIMIT_MS);

    test("that was changed in any way is read or called malformed, and nothing else", () => {
      const mutations = fc.array(fc.nat(), { minLength: 1, maxLength: 6 });
      let read = 0, refused = 0;
      const count = (packet: Bytes): void => void (reads(decode, packet) ? read++ : refused++);
      fc.assert(fc.property(bytes(100), count), { numRuns: scale(2_000, 200_000) });
      fc.assert(
        fc.property(arbitrary, mutations, (value, changes) => count(mutated(encode(value), changes))),
        { numRuns: scale(2_000, 200_000) },
      );
      expect(read).toBeGreaterThan(0);
      expect(refused).toBeGreaterThan(0);
    }, LIMIT_MS);
  });
}

describeCodec<Message>("message", message, encodeMessage, decodeMessage);
describeCodec<Entry>("log entry", entry, encodeEntry, decodeEntry);
describeCodec<Snapshot>("snapshot", snapshot, encodeSnapshot, decodeSnapshot);
describeCodec<ConfState>("configuration", confState, encodeConfState, decodeConfState);

const ENVELOPE = { from: 1, to: 2, term: 3 };
const HEARTBEAT: Message = { type: "heartbeat", ...ENVELOPE, commit: 4, round: 5 };

describe("bytes that are no message", () => {
  test("every cut of a message without open end is malformed, and so is anything behind it", () => {
    fc.assert(
      fc.property(message.filter(({ type }) => type !== "snapshot"), (value) => {
        const whole = encodeMessage(value);
        for (let length = 0; length < whole.byteLength; length++) {
          expect(reads(decodeMessage, whole.subarray(0, length))).toBe(false);
        }
        expect(reads(decodeMessage, Uint8Array.of(...whole, 0))).toBe(false);
      }),
      { numRuns: scale(100, 10_000) },
    );
  }, LIMIT_MS);

  test.each([
    ["an unknown kind", [14, 1, 2, 3]],
    ["no sender", [9, 0, 2, 3]],
    ["no receiver", [9, 1, 0, 3]],
    ["a term above 2^48", [9, 1, 2, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40]],
    ["a number above 2^53", [9, 1, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]],
    ["a number without an end", [9, 1, 2, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80]],
    ["a flag of 2", [4, 1, 2, 3, 9, 3, 2]],
    ["an entry of no kind", [0, 1, 2, 3, 9, 3, 1, 2, 3, 10, 0, 9]],
    ["an unknown transition", [11, 1, 2, 0, 1, 1, 3, 0, 0]],
    ["an unknown operation", [11, 1, 2, 0, 1, 1, 0, 1, 4, 7, 0]],
    ["more entries than bytes", [0, 1, 2, 3, 9, 3, 0xff, 0xff, 0xff, 0xff, 0x7f]],
    ["data longer than the message", [0, 1, 2, 3, 9, 3, 1, 0, 3, 10, 0xff, 0xff, 0x7f, 1]],
    ["a learner without id", [8, 1, 2, 3, 9, 3, 1, 1, 0, 1, 0, 0, 0]],
  ])("%s is malformed", (_what, numbers) => {
    expect(reads(decodeMessage, Uint8Array.from(numbers))).toBe(false);
  });

  test("an error names what was read and what was wrong with it", () => {
    expect(() => decodeMessage(Uint8Array.of(99))).toThrow("read a Raft message: it has the unknown kind 99");
    expect(() => decodeEntry(NOTHING)).toThrow("read a Raft entry: it ends too early");
  });
});

describe("encoding", () => {
  test("a heartbeat costs a byte for its kind and a byte for each small number", () => {
    expect([...encodeMessage(HEARTBEAT)]).toEqual([2, 1, 2, 3, 4, 5]);
  });

  test("payloads that were read are views of the message, and a written message is a copy", () => {
    const data = new Uint8Array(50).fill(7);
    const append: Message = {
      type: "append",
      ...ENVELOPE,
      index: 0,
      logTerm: 0,
      entries: [{ type: "normal", term: 3, index: 1, data }],
      commit: 0,
    };
    const encoded = encodeMessage(append);
    data.fill(8);
    const decoded = decodeMessage(encoded);
    const first = decoded.type === "append" ? decoded.entries[0] : undefined;
    if (first?.type !== "normal") throw new Error("not the entry");
    expect(first.data).toEqual(new Uint8Array(50).fill(7));
    expect(first.data.buffer).toBe(encoded.buffer);
  });

  test(
    "a witness gets every field of a message but entries' data, changes' context and snapshots' data",
    () => {
      fc.assert(
        fc.property(message, (value) => {
          const decoded = decodeMessage(encodeMessage(value, { withoutData: true }));
          if (value.type === "append") {
            expect(decoded).toEqual({ ...value, entries: value.entries.map(bare) });
          } else if (value.type === "snapshot") {
            expect(decoded).toEqual({ ...value, snapshot: { ...value.snapshot, data: NOTHING } });
          } else expect(decoded).toEqual(value);
        }),
        { numRuns: scale(500, 50_000) },
      );
    },
    LIMIT_MS,
  );

  test.each([-1, 0.5, NaN, 2 ** 53])("a read with the context %d is refused", (context) => {
    const read: Message = { type: "read-index", ...ENVELOPE, context };
    expect(() => encodeMessage(read)).toThrow("encode a read with the context");
  });
});
