import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CongestionWindow } from "../../src/link/congestion.ts";
import { LaneReceiver } from "../../src/link/lane_receiver.ts";
import { LaneSender } from "../../src/link/lane_sender.ts";
import { FRAGMENT_BYTES_MAX, weightOf } from "../../src/link/packet.ts";
import { ReceivedNumbers } from "../../src/link/ranges.ts";
import { Recovery, type SentPacket } from "../../src/link/recovery.ts";
import { RttEstimator } from "../../src/link/rtt.ts";
import { scale } from "../support/scale.ts";

const runs = { numRuns: scale(100, 20_000) };

/** A recovery with its congestion window, and what became of each packet. */
function recovering() {
  const congestion = new CongestionWindow(1_200);
  const fates = new Map<number, ("acknowledged" | "lost")[]>();
  const settle = (fate: "acknowledged" | "lost") => ({ number }: SentPacket): void =>
    void fates.set(number, [...fates.get(number) ?? [], fate]);
  const probe = { wanted: false };
  const recovery = new Recovery(new RttEstimator(), congestion, {
    acknowledged: settle("acknowledged"),
    lost: settle("lost"),
    probe: () => {
      probe.wanted = true;
    },
  });
  return { congestion, recovery, fates, probe };
}

const packetOf = (number: number, sentAt: number, bytes: number): SentPacket => ({
  number,
  sentAt,
  bytes,
  fragments: [],
  onAcknowledged: undefined,
});

describe("recovery", () => {
  test("settles each packet once, whatever is acknowledged in whatever order; in flight returns to 0", () => {
    const step = fc.oneof(
      fc.record({
        kind: fc.constant("send"),
        eliciting: fc.boolean(),
        bytes: fc.integer({ min: 1, max: 2_000 }),
      }),
      fc.record({ kind: fc.constant("ack"), from: fc.nat(60), length: fc.nat(20), gap: fc.nat(5) }),
      fc.record({ kind: fc.constant("wait"), ms: fc.double({ min: 0, max: 500, noNaN: true }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const { congestion, recovery, fates, probe } = recovering();
        let now = 0;
        let next = 0;
        const eliciting = new Set<number>();
        const send = (elicits: boolean, bytes: number): void => {
          recovery.sent(elicits ? packetOf(next, now, bytes) : undefined);
          if (elicits) eliciting.add(next);
          next++;
        };
        const run = (untilMs: number): void => {
          for (
            let due = recovery.nextTimerAt();
            due !== undefined && due <= untilMs;
            due = recovery.nextTimerAt()
          ) {
            now = Math.max(now, due);
            recovery.expire(now);
            if (probe.wanted) send(true, 1);
            probe.wanted = false;
            // What is due is settled: a timer that stays where it is would fire for ever.
            expect(recovery.nextTimerAt() ?? Number.POSITIVE_INFINITY).toBeGreaterThan(now);
          }
          now = Math.max(now, untilMs);
        };
        for (const entry of steps) {
          if (entry.kind === "send" && "bytes" in entry) {
            send(entry.eliciting, entry.bytes);
          } else if (entry.kind === "ack" && "gap" in entry && next > 0) {
            const high = Math.min(entry.from, next - 1);
            const low = Math.max(0, high - entry.length);
            const below = low - 2 - entry.gap;
            const ranges = [{ low, high }, ...(below >= 0 ? [{ low: 0, high: below }] : [])];
            expect(recovery.acknowledge(ranges, now)).toBe(true);
          } else if (entry.kind === "wait" && "ms" in entry) {
            run(now + entry.ms);
          }
          expect(congestion.inFlightBytes).toBeGreaterThanOrEqual(0);
          expect(congestion.windowBytes).toBeGreaterThanOrEqual(2 * 1_200);
        }
        expect(recovery.acknowledge([{ low: 0, high: next }], now)).toBe(false);
        if (next > 0) recovery.acknowledge([{ low: 0, high: next - 1 }], now);
        expect([congestion.inFlightBytes, recovery.inFlight, recovery.nextTimerAt()]).toEqual([
          0,
          0,
          undefined,
        ]);
        expect([...fates.keys()].sort((a, b) => a - b)).toEqual([...eliciting]);
        for (const fate of fates.values()) expect(fate).toHaveLength(1);
      }),
      runs,
    );
  });

  test("a packet that is due to be lost is lost when its timer fires, at any time of day", () => {
    for (let round = 0; round < 500; round++) {
      const { recovery, fates } = recovering();
      const sentAt = round * 1_234.567_89 + 0.1;
      recovery.sent(packetOf(0, sentAt, 100));
      recovery.sent(packetOf(1, sentAt, 100));
      recovery.acknowledge([{ low: 1, high: 1 }], sentAt + 7.3);
      recovery.expire(recovery.nextTimerAt() ?? 0);
      expect({ round, fate: fates.get(0) }).toEqual({ round, fate: ["lost"] });
    }
  });

  test("over a lossless way nothing is declared lost and no timer is wanted", () => {
    const recovery = new Recovery(new RttEstimator(), undefined, {
      acknowledged: () => undefined,
      lost: () => expect("lost").toBe("never"),
      probe: () => expect("probe").toBe("never"),
    });
    for (let number = 0; number < 10; number++) recovery.sent(packetOf(number, number, 100));
    recovery.acknowledge([{ low: 9, high: 9 }], 10_000);
    expect([recovery.nextTimerAt(), recovery.inFlight]).toEqual([undefined, 9]);
  });
});

describe("lanes", () => {
  test("any loss, repetition, reordering and change of way: each frame once, in order, within the windows", () => {
    const frames = fc.array(fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 5_000 })), {
      minLength: 1,
      maxLength: 12,
    });
    fc.assert(
      fc.property(
        frames,
        fc.array(fc.nat(), { maxLength: 200 }),
        fc.integer({ min: 1, max: 4_000 }),
        (sizes, moves, window) => {
          const sender = new LaneSender(1, window, 500);
          const got: number[] = [];
          const receiver = new LaneReceiver(window, 1e6, (port, frame) => {
            expect(frame.every((byte) => byte === port)).toBe(true);
            got.push(frame.byteLength);
          });
          sizes.forEach((bytes, index) => sender.push(index, new Uint8Array(bytes).fill(index)));
          let number = 0;
          const flying: { number: number; fragment: NonNullable<ReturnType<LaneSender["peek"]>> }[] = [];
          const move = (choice: number): void => {
            const next = sender.peek();
            if (choice % 4 === 0 && next !== undefined) {
              sender.take(next, number);
              const outstanding = sender.pendingBytes - sender.queuedBytes;
              expect(outstanding).toBeLessThanOrEqual(Math.max(window, weightOf(next.payload.byteLength)));
              flying.push({ number: number++, fragment: next });
            } else if (flying.length > 0) {
              const index = Math.floor(choice / 4) % flying.length;
              const flight = flying[index] as (typeof flying)[number];
              if (choice % 4 === 1) {
                receiver.accept(flight.fragment);
                sender.acknowledge(flight.fragment);
              }
              if (choice % 4 === 2) receiver.accept(flight.fragment);
              if (choice % 4 === 3) sender.lose(flight.fragment, flight.number);
              if (choice % 4 !== 2) flying.splice(index, 1);
            }
            if (choice % 17 === 0) {
              expect(sender.resume(receiver.next)).toBeDefined();
              flying.length = 0;
            }
          };
          moves.forEach(move);
          for (let left = 500; sender.pendingBytes > 0 && left > 0; left--) {
            const fragment = sender.peek();
            if (fragment !== undefined) {
              sender.take(fragment, number++);
              receiver.accept(fragment);
              sender.acknowledge(fragment);
            } else sender.probe(1);
          }
          expect(got).toEqual(sizes);
          expect([sender.pendingBytes, sender.queuedBytes]).toEqual([0, 0]);
        },
      ),
      runs,
    );
  });

  test("a peer cannot make a receiver hold more than its window and one fragment, or a frame over the limit", () => {
    const receiver = new LaneReceiver(10_000, 50_000, () => undefined);
    const part = { lane: 1, port: 1, total: 40_000, first: false, last: false } as const;
    let held = 0;
    expect(() => {
      for (let sequence = 1; sequence < 1_000; sequence++) {
        receiver.accept({ ...part, sequence, payload: new Uint8Array(1_000) });
        held += weightOf(1_000);
      }
    }).toThrow("ahead of a gap");
    expect(held).toBeLessThanOrEqual(10_000 + FRAGMENT_BYTES_MAX);
    const other = new LaneReceiver(10_000, 50_000, () => undefined);
    expect(() =>
      other.accept({ ...part, sequence: 0, first: true, total: 50_001, payload: new Uint8Array(1) })
    )
      .toThrow("50001");
  });

  test("a claim of frames that were never sent is refused", () => {
    const sender = new LaneSender(1, 10_000, 500);
    sender.push(1, new Uint8Array(100));
    expect(sender.resume(1)).toBeUndefined();
    expect(sender.resume(0)).toBe(0);
  });
});

describe("received packet numbers", () => {
  test("are new once, in any order; ranges stay ordered, apart and few", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(400), { maxLength: 400 }), (numbers) => {
        const received = new ReceivedNumbers();
        const added = new Set<number>();
        for (const number of numbers) {
          if (received.add(number)) {
            expect(added.has(number)).toBe(false);
            added.add(number);
          }
          expect(received.has(number)).toBe(true);
          expect(received.ranges.length).toBeLessThanOrEqual(64);
        }
        let above = Number.POSITIVE_INFINITY;
        for (const { low, high } of received.ranges) {
          expect(low <= high && high < above - 1).toBe(true);
          for (let number = low; number <= high; number++) expect(added.has(number)).toBe(true);
          above = low;
        }
      }),
      runs,
    );
  });

  test("know whether everything came", () => {
    const received = new ReceivedNumbers();
    expect(received.unbroken).toBe(true);
    received.add(1);
    expect(received.unbroken).toBe(false);
    received.add(0);
    expect(received.unbroken).toBe(true);
    received.add(3);
    expect(received.unbroken).toBe(false);
  });
});
