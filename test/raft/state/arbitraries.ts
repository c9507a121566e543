import fc from "fast-check";
import type { Command, Envelope, MemberRecord } from "../../../src/raft/state/commands.ts";

const text = fc.oneof(
  fc.string({ minLength: 1, maxLength: 6 }),
  fc.string({ unit: "grapheme", minLength: 1, maxLength: 80 }).filter((each) => each.isWellFormed()),
);
const label = fc.stringMatching(/^[a-z0-9/:-]{1,20}$/);
const whole = fc.oneof(fc.nat(300), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }));
const positive = whole.map((each) => Math.max(1, each));
const ttlMs = fc.integer({ min: 100, max: 86_400_000 });
const value = fc.uint8Array({ maxLength: 300 });

const members: fc.Arbitrary<MemberRecord> = fc.record({
  raftId: positive,
  nodeId: label,
  publicUrl: fc.option(label),
  incarnation: label,
  status: fc.constantFrom("up" as const, "down" as const, "draining" as const),
  witness: fc.boolean(),
});

const commands: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ kind: fc.constantFrom("open-session" as const, "close-session" as const), session: positive }),
  fc.record({ kind: fc.constant("set" as const), key: text, value }),
  fc.record({ kind: fc.constant("delete" as const), key: text }),
  fc.record({
    kind: fc.constant("compare-and-set" as const),
    key: text,
    expected: whole,
    value: fc.option(value),
  }),
  fc.record({ kind: fc.constant("acquire-lease" as const), name: text, holder: text, ttlMs }),
  fc.record({ kind: fc.constant("renew-lease" as const), name: text, token: whole, ttlMs }),
  fc.record({ kind: fc.constant("release-lease" as const), name: text, token: whole }),
  fc.record({ kind: fc.constant("expire-lease" as const), name: text, token: whole, renewedAt: whole }),
  fc.record({ kind: fc.constant("set-member" as const), member: members }),
  fc.record({ kind: fc.constant("forget-member" as const), raftId: positive }),
);

/** All that can be written. */
export const envelopes: fc.Arbitrary<Envelope> = fc.record({
  session: whole,
  sequence: positive,
  doneBelow: whole,
  command: commands,
}).map((each) => ({ ...each, doneBelow: Math.min(each.doneBelow, each.sequence) }));
