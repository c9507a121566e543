/** What the ends of sessions did and heard, and whether that is what a session promises. */
import type { Bytes } from "../../src/lib/bytes.ts";
import { type Lane, LANES, type SendResult, type Session } from "../../src/link/contract.ts";
import type { LinkSession } from "../../src/link/session.ts";
import { type SimNode, TEST_PORT } from "./sim_links.ts";

/** One end of one session. */
interface End {
  readonly sessionId: string;
  /** Incarnation of this end. */
  readonly own: string;
  readonly sent: number[][];
  readonly received: number[][];
  ended: boolean;
  /** Its node was killed: it hears nothing any more, not even the end. */
  killed: boolean;
}

/** Frames carry a number that is unique in the history, so that each is known again wherever it turns up. */
export class LinkHistory {
  /** Breaches found so far; each is a sentence. */
  readonly breaches: string[] = [];
  readonly #ends = new Map<Session, End>();
  #number = 0;

  /** Watches a node. Before its links start. */
  watch(node: SimNode): void {
    const { incarnation } = node.links;
    node.onUp = (session) => {
      if (this.#ends.has(session)) this.breaches.push("up twice for one session");
      if (!session.live) this.breaches.push("up for a session that is not live");
      this.#ends.set(session, {
        sessionId: (session as LinkSession).id,
        own: incarnation,
        sent: LANES.map(() => []),
        received: LANES.map(() => []),
        ended: false,
        killed: false,
      });
    };
    node.onDown = (session) => {
      const end = this.#ends.get(session);
      if (end === undefined) this.breaches.push("down for a session that never was up");
      else if (end.ended) this.breaches.push("down twice for one session");
      else end.ended = true;
      if (session.live) this.breaches.push("down for a session that is live");
    };
    node.onFrame = (session, lane, payload) => {
      const end = this.#ends.get(session);
      if (end === undefined || end.ended) {
        this.breaches.push("a frame of a session that is not up");
        return;
      }
      end.received[lane]?.push(readNumber(payload));
    };
  }

  /** `node` was killed. */
  killed(node: SimNode): void {
    for (const end of this.#ends.values()) end.killed ||= end.own === node.links.incarnation;
  }

  /** Sends a frame with `bytes` of payload (at least 4). */
  send(session: Session, lane: Lane, bytes: number): SendResult {
    const number = ++this.#number;
    const result = session.send(lane, TEST_PORT, framed(number, bytes));
    if (result === "sent") this.#ends.get(session)?.sent[lane]?.push(number);
    if (lane === 0 && result === "full") this.breaches.push("a control frame was refused");
    return result;
  }

  /**
   * Every frame is delivered at most once, to the other end of the session it was sent on, in the order of its lane
   * and without gaps; all of them where neither end ended and `settled` says that nothing is under way any more.
   */
  check(settled: boolean): string[] {
    const ends = [...this.#ends.values()];
    for (const receiver of ends) {
      const senders = ends.filter(({ sessionId, own }) =>
        sessionId === receiver.sessionId && own !== receiver.own
      );
      for (const lane of LANES) {
        const got = receiver.received[lane] as number[];
        const sent = senders[0]?.sent[lane] ?? [];
        const whole = settled && [receiver, ...senders].every(({ ended, killed }) => !ended && !killed);
        const expected = whole ? sent : sent.slice(0, got.length);
        if (got.length !== expected.length || got.some((number, index) => number !== expected[index])) {
          this.breaches.push(`lane ${lane}: sent ${sent.join()}, delivered ${got.join()}`);
        }
      }
      if (senders.length > 1) this.breaches.push("one session has three ends");
    }
    return this.breaches;
  }

  /** How many of the ends that were up have not heard down. */
  get live(): number {
    return [...this.#ends.values()].filter(({ ended }) => !ended).length;
  }

  /** Frames delivered. */
  get delivered(): number {
    let frames = 0;
    for (const { received } of this.#ends.values()) for (const lane of received) frames += lane.length;
    return frames;
  }
}

/** The number, and then bytes that follow from it. */
function framed(number: number, bytes: number): Bytes {
  const out = new Uint8Array(Math.max(4, bytes)).fill(number & 0xff);
  new DataView(out.buffer).setUint32(0, number);
  return out;
}

function readNumber(payload: Bytes): number {
  const number = new DataView(payload.buffer, payload.byteOffset).getUint32(0);
  return payload.subarray(4).every((byte) => byte === (number & 0xff)) ? number : -number;
}
