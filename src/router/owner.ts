import type { Outbox, SendOutcome } from "../connection/outbox.ts";
import type { Clock } from "../lib/clock.ts";
import type { Answers } from "./answers.ts";
import { outboxBehind, type RouteDirectory, type RouterOptions, type Sockets } from "./contract.ts";
import type { Answer, Message } from "./delivery.ts";
import { asText, type CloseRequest, type MessageFrame, RUN } from "./frames.ts";
import { OUTCOMES } from "./outcome.ts";
import { RememberedMessages } from "./remembered_messages.ts";

/** Fewer held connections than this are not swept. */
const SWEEP_SIZE_MIN = 1_024;

/** Who must hear about one slow connection, with the policy `wait`. */
interface Hold {
  /**
   * Peers with a message held since they last started: whatever they sent before hearing of it is held too,
   * or it would overtake. A mark stays until the peer starts again, or the connection or the session ends.
   */
  readonly marked: Set<Answers>;
  /** Peers that wait for `writable`. */
  readonly waiting: Set<Answers>;
}

/** The owner's side: messages for this node's own connections, from peers and from here. */
export class Owner {
  readonly #directory: Pick<RouteDirectory, "localByHandle">;
  readonly #sockets: Sockets;
  readonly #options: RouterOptions;
  readonly #remembered: RememberedMessages;
  /** By handle. */
  readonly #holds = new Map<number, Hold>();
  #sweepSize = SWEEP_SIZE_MIN;

  constructor(
    directory: Pick<RouteDirectory, "localByHandle">,
    sockets: Sockets,
    clock: Pick<Clock, "now">,
    options: RouterOptions,
  ) {
    this.#directory = directory;
    this.#sockets = sockets;
    this.#options = options;
    this.#remembered = new RememberedMessages(clock, options);
  }

  /**
   * Takes a peer's message for each of its targets; `malformed`, before anything took effect, if it is no
   * text.
   */
  receive(peer: Answers, frame: MessageFrame): void {
    const message: Message = {
      data: frame.text ? asText(frame.payload, "a text message") : frame.payload,
      bytes: frame.payload.byteLength,
      messageId: frame.messageId,
      // Counted from here: what the frame spent on its way is not known, so nothing is given up too early.
      remainingMs: frame.remainingMs,
    };
    let number = frame.first;
    for (const { handle, starts } of frame.targets) {
      const own = number++;
      this.accept(handle, message, starts, peer, (answer) => peer.push(codeOf(answer), own));
    }
  }

  receiveClose(peer: Answers, { number, handle, code, reason }: CloseRequest): void {
    peer.push(this.close(handle, code, reason) ? RUN.closing : RUN.notClosing, number);
  }

  /** False when this node has no such connection. */
  close(handle: number, code: number, reason: string): boolean {
    const outbox = this.outbox(handle);
    outbox?.close(code, reason);
    return outbox !== undefined;
  }

  /**
   * Takes a message for the connection behind `handle` and calls `done` once, now or later. Calls of `peer`
   * come in the order in which it sent them; `starts` says that it has nothing else on its way to this
   * connection. Without `peer` the message is from here.
   */
  accept(
    handle: number,
    message: Message,
    starts: boolean,
    peer: Answers | undefined,
    done: (answer: Answer) => void,
  ): void {
    const connectionId = this.#directory.localByHandle(handle);
    const outbox = connectionId === undefined ? undefined : this.#sockets.get(connectionId);
    if (connectionId === undefined || outbox === undefined) return done("not-found");
    if (message.bytes > this.#options.messageBytesMax) return done("too-large");
    if (peer !== undefined && this.#holds.size > 0 && this.#isHeld(handle, peer, starts)) return done("held");
    if (message.messageId === undefined) return this.#send(outbox, handle, message, peer, done);
    const finish = this.#remembered.begin(connectionId, message.messageId, done);
    if (finish !== undefined) this.#send(outbox, handle, message, peer, finish);
  }

  /** The outbox of the connection behind one of this node's handles. */
  outbox(handle: number): Outbox | undefined {
    return outboxBehind(handle, this.#directory, this.#sockets);
  }

  /** The session with a peer has ended. */
  forget(peer: Answers): void {
    for (const [handle, hold] of this.#holds) {
      hold.marked.delete(peer);
      hold.waiting.delete(peer);
      if (hold.marked.size + hold.waiting.size === 0) this.#holds.delete(handle);
    }
  }

  #send(
    outbox: Outbox,
    handle: number,
    message: Message,
    peer: Answers | undefined,
    done: (answer: Answer) => void,
  ): void {
    if (outbox.options.slowConsumer !== "wait") {
      return outbox.sendMessage(message.data, message.bytes, done, message.remainingMs);
    }
    const sent = (outcome: SendOutcome): void => {
      if (outcome !== "backpressure") return done(outcome);
      if (peer !== undefined) this.#hold(outbox, handle, peer);
      done("held");
    };
    outbox.sendMessage(message.data, message.bytes, sent, message.remainingMs);
  }

  #isHeld(handle: number, peer: Answers, starts: boolean): boolean {
    const hold = this.#holds.get(handle);
    if (hold === undefined || !hold.marked.has(peer)) return false;
    if (!starts) return true;
    hold.marked.delete(peer);
    if (hold.marked.size + hold.waiting.size === 0) this.#holds.delete(handle);
    return false;
  }

  #hold(outbox: Outbox, handle: number, peer: Answers): void {
    let hold = this.#holds.get(handle);
    if (hold === undefined) {
      this.#sweep();
      this.#holds.set(handle, hold = { marked: new Set(), waiting: new Set() });
    }
    hold.marked.add(peer);
    if (hold.waiting.size === 0) outbox.whenWritable(() => this.#writable(outbox, handle));
    hold.waiting.add(peer);
  }

  #writable(outbox: Outbox, handle: number): void {
    const hold = this.#holds.get(handle);
    if (hold === undefined) return;
    for (const peer of hold.waiting) peer.push(RUN.writable, handle);
    hold.waiting.clear();
    if (!outbox.open) this.#holds.delete(handle);
  }

  /** Marks of connections that are gone are dropped when they may be the majority. */
  #sweep(): void {
    if (this.#holds.size < this.#sweepSize) return;
    for (const handle of this.#holds.keys()) {
      if (this.#directory.localByHandle(handle) === undefined) this.#holds.delete(handle);
    }
    this.#sweepSize = Math.max(SWEEP_SIZE_MIN, this.#holds.size * 2);
  }
}

const CODES: ReadonlyMap<string, number> = new Map(OUTCOMES.map((outcome, code) => [outcome, code]));

function codeOf(answer: Answer): number {
  return CODES.get(answer) ?? RUN.held;
}
