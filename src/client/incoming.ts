import { type Bytes, fromUtf8, joinBytes } from "../lib/bytes.ts";
import type { StreamHead } from "../client_protocol.ts";
import { Deque } from "../lib/deque.ts";
import { type ErrorCode, FlotillaError, reasonOf } from "../lib/errors.ts";
import { Emitter, type Unsubscribe } from "../lib/events.ts";
import { Rate } from "../lib/rate.ts";
import { type Digest, newDigest } from "../lib/xxhash.ts";
import type { ClientSettings, IncomingProgress, IncomingStream } from "./contract.ts";

/**
 * So much taken since the last credit is told at once: an eighth of the usual window, so that the sender need
 * not stop. Less is told when there is nothing left to take: in a smaller window the sender would wait for
 * ever. Deno's own WebSocket holds a small write until the one before it is answered; the data that a credit
 * sets free answers it, so that even a sender that waits for each credit does not feel that.
 */
const CREDIT_BYTES = 131_072;
/** Chunks count in the window too. */
const CREDIT_CHUNKS = 1_024;
/** A slow reader's progress is told so often, or the node would think that it has stopped. */
const CREDIT_MS = 1_000;

/**
 * Of less than that, so many credits in a slot of time are prompt; those behind wait a little for more to be
 * told with them: where each message has a turn of its own (browsers, Bun) a quick reader would answer every
 * chunk. A stream with fewer never needs a timer, which a page in the background gets once a minute.
 */
const PROMPT_CREDITS_MAX = 32;
const PROMPT_SLOT_MS = 100;
const LATE_CREDIT_MS = 4;

/** What a stream says to its node. After `cancelled` or `finished` it says nothing more. */
export interface IncomingPort {
  credit(bytes: number, chunks: number): void;
  cancelled(reason: string): void;
  finished(): void;
}

/** One stream: what has arrived and was not yet taken, and the readable that takes it. */
export class Incoming implements IncomingStream {
  readonly id: number;
  readonly metadata: unknown;
  readonly totalBytes: number | null;
  readonly isText: boolean;
  readonly readable: ReadableStream<Bytes>;
  readonly #port: IncomingPort;
  readonly #settings: ClientSettings;
  readonly #digest: Digest | undefined = newDigest();
  readonly #events: Emitter<{ progress: IncomingProgress }>;
  readonly #rate: Rate;
  readonly #waiting = new Deque<Bytes>();
  readonly #watchers: (() => void)[] = [];
  #controller: ReadableStreamDefaultController<Bytes> | undefined;
  /** Ends the pull that waits for a chunk. */
  #pulled: (() => void) | undefined;
  /** `arrived`: all of it, and right; the node has been told. `over`: nothing is left to read. */
  #state: "arriving" | "arrived" | "over" = "arriving";
  #arrivedBytes = 0;
  #arrivedChunks = 0;
  #takenChunks = 0;
  #creditedBytes = 0;
  #creditedChunks = 0;
  #creditedAt: number;
  #creditDue = false;
  #promptCredits = 0;
  #promptUntil = 0;
  #progressDue = false;

  constructor(id: number, head: StreamHead, port: IncomingPort, settings: ClientSettings) {
    this.id = id;
    this.metadata = head.metadata;
    this.totalBytes = head.totalBytes;
    this.isText = head.text;
    this.#port = port;
    this.#settings = settings;
    this.#events = new Emitter(settings.logger);
    this.#rate = new Rate(settings.clock.now());
    this.#creditedAt = settings.clock.now();
    // With room for nothing of its own it pulls only for a read that waits: what it took, the reader took.
    this.readable = new ReadableStream<Bytes>({
      start: (controller) => void (this.#controller = controller),
      pull: () => this.#pull(),
      cancel: (reason: unknown) => void this.#stop(reason === undefined ? undefined : reasonOf(reason)),
    }, { highWaterMark: 0 });
  }

  // --- From the node ---

  /** A chunk has arrived. */
  data(payload: Bytes): void {
    if (this.#state !== "arriving") return;
    this.#arrivedBytes += payload.byteLength;
    this.#arrivedChunks++;
    this.#digest?.update(payload);
    if (payload.byteLength === 0) return this.#took(0);
    if (this.#pulled === undefined) this.#waiting.pushBack(payload);
    else this.#hand(payload);
  }

  /** The end has arrived. Where WASM is forbidden only the count is compared. */
  end(bytes: number, digest: bigint): void {
    if (this.#state !== "arriving") return;
    const own = this.#digest?.value() ?? digest;
    const problem = bytes !== this.#arrivedBytes
      ? `${this.#arrivedBytes} bytes arrived, but ${bytes} were sent`
      : this.totalBytes !== null && this.totalBytes !== bytes
      ? `${bytes} bytes were sent, but ${this.totalBytes} were announced`
      : own !== digest
      ? "the digest of what arrived is not the sender's"
      : undefined;
    if (problem !== undefined) {
      this.#port.cancelled(problem);
      return this.fail("malformed", problem);
    }
    this.#port.finished();
    this.#state = "arrived";
    if (this.#waiting.size === 0) this.#close();
  }

  /** The stream ends here, unfinished; what waits is dropped. The node is not told. */
  fail(code: ErrorCode, problem: string): void {
    if (this.#state === "over") return;
    this.#controller?.error(new FlotillaError(code, `read stream ${this.id}: ${problem}`));
    this.#over();
  }

  // --- From the application ---

  get progress(): IncomingProgress {
    const bytesPerSecond = this.#rate.perSecond(this.#settings.clock.now());
    return { bytes: this.#rate.bytes, totalBytes: this.totalBytes, bytesPerSecond };
  }

  onProgress(listener: (progress: IncomingProgress) => void): Unsubscribe {
    return this.#events.on("progress", listener);
  }

  async *watchProgress(): AsyncIterableIterator<IncomingProgress> {
    for (let seen = -1;;) {
      const { progress } = this;
      if (progress.bytes !== seen) {
        seen = progress.bytes;
        yield progress;
      } else if (this.#state === "over") return;
      else await new Promise<void>((resolve) => void this.#watchers.push(resolve));
    }
  }

  async bytes(): Promise<Bytes> {
    if (this.readable.locked) {
      throw new FlotillaError("invalid-option", `read stream ${this.id}: it is being read already`);
    }
    const parts: Bytes[] = [];
    const reader = this.readable.getReader();
    for (let read = await reader.read(); !read.done; read = await reader.read()) parts.push(read.value);
    return joinBytes(parts);
  }

  async text(): Promise<string> {
    const bytes = await this.bytes();
    try {
      return fromUtf8(bytes);
    } catch (cause) {
      throw new FlotillaError("malformed", `read stream ${this.id}: it is not UTF-8`, { cause });
    }
  }

  cancel(reason?: string): void {
    const told = this.#stop(reason);
    if (told !== undefined) {
      this.#controller?.error(new FlotillaError("aborted", `read stream ${this.id}: ${told}`));
    }
  }

  // --- Inside ---

  #pull(): Promise<void> | undefined {
    const chunk = this.#waiting.popFront();
    if (chunk !== undefined) this.#hand(chunk);
    else if (this.#state === "arriving") return new Promise((resolve) => void (this.#pulled = resolve));
    return undefined;
  }

  #hand(chunk: Bytes): void {
    this.#controller?.enqueue(chunk);
    this.#endPull();
    this.#took(chunk.byteLength);
    if (this.#state === "arrived" && this.#waiting.size === 0) this.#close();
  }

  #took(bytes: number): void {
    this.#takenChunks++;
    const now = this.#settings.clock.now();
    this.#rate.add(bytes, now);
    this.#progressed();
    if (this.#state !== "arriving") return;
    const isMuch = this.#rate.bytes - this.#creditedBytes >= CREDIT_BYTES ||
      this.#takenChunks - this.#creditedChunks >= CREDIT_CHUNKS ||
      now - this.#creditedAt >= CREDIT_MS;
    if (isMuch) this.#credit();
    else if (this.#takenChunks === this.#arrivedChunks && !this.#creditDue) this.#creditSoon(now);
  }

  #creditSoon(now: number): void {
    this.#creditDue = true;
    const give = (): void => {
      this.#creditDue = false;
      if (this.#takenChunks === this.#arrivedChunks) this.#credit();
    };
    if (now >= this.#promptUntil) {
      this.#promptUntil = now + PROMPT_SLOT_MS;
      this.#promptCredits = 0;
    }
    // In a microtask: more may arrive in this turn.
    if (++this.#promptCredits <= PROMPT_CREDITS_MAX) queueMicrotask(give);
    else this.#settings.clock.timer(LATE_CREDIT_MS, give);
  }

  #credit(): void {
    if (this.#state !== "arriving" || this.#creditedChunks === this.#takenChunks) return;
    this.#creditedBytes = this.#rate.bytes;
    this.#creditedChunks = this.#takenChunks;
    this.#creditedAt = this.#settings.clock.now();
    this.#port.credit(this.#creditedBytes, this.#creditedChunks);
  }

  #progressed(): void {
    if (this.#progressDue) return;
    this.#progressDue = true;
    queueMicrotask(() => {
      this.#progressDue = false;
      this.#events.emit("progress", this.progress);
      for (const wake of this.#watchers.splice(0)) wake();
    });
  }

  /** Nothing more is wanted; the reason as the node was told it, undefined where it was over already. */
  #stop(reason = "the reader cancelled the stream"): string | undefined {
    if (this.#state === "over") return undefined;
    if (this.#state === "arriving") this.#port.cancelled(reason);
    this.#over();
    return reason;
  }

  #close(): void {
    this.#controller?.close();
    this.#over();
  }

  #over(): void {
    this.#state = "over";
    this.#waiting.clear();
    this.#endPull();
    this.#progressed();
  }

  #endPull(): void {
    const pulled = this.#pulled;
    this.#pulled = undefined;
    pulled?.();
  }
}
