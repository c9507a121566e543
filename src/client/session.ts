import {
  decodeToClient,
  encodeCancel,
  encodeCredit,
  encodeFinished,
  encodeMessage,
  type ToClient,
} from "../client_protocol.ts";
import type { Bytes } from "../lib/bytes.ts";
import { CLOSE } from "../lib/close_codes.ts";
import { type ErrorCode, FlotillaError, reasonOf } from "../lib/errors.ts";
import type { Socket } from "../lib/socket.ts";
import type { ClientClose, ClientSettings, IncomingStream } from "./contract.ts";
import { errorCodeOf } from "./error_code.ts";
import { Incoming } from "./incoming.ts";

/** What the standard says of a connection that broke off (RFC 6455, 7.1.5). */
const DROPPED = 1006;

/** What a node says first. */
export type Hello = Extract<ToClient, { kind: "hello" }>;

/** What a session tells; none may throw. */
export interface SessionEvents {
  message(data: string | Bytes): void;
  /** Whether anybody wants it. */
  stream(stream: IncomingStream): boolean;
  /** Once, and nothing after it. */
  ended(close: ClientClose): void;
}

/**
 * One socket, from the node's hello until it closes. What comes before `start` waits, the end included:
 * whoever waits for the session can be slower than the messages behind the hello.
 */
export class Session {
  readonly connectionId: string;
  readonly nodeId: string;
  /** Where it is connected. */
  readonly url: URL;
  readonly #socket: Socket;
  readonly #settings: ClientSettings;
  readonly #streams = new Map<number, Incoming>();
  #events: SessionEvents | undefined;
  #held: (string | Bytes)[] = [];
  #closing = false;
  #left = false;
  /** Where the node that leaves has sent the client. */
  #redirect: string | undefined;
  /** Why this end closes; what the socket says then matters no more. */
  #verdict: ClientClose | undefined;
  #end: ClientClose | undefined;

  constructor(socket: Socket, url: URL, hello: Hello, settings: ClientSettings) {
    this.url = url;
    this.connectionId = hello.connectionId;
    this.nodeId = hello.nodeId;
    this.#socket = socket;
    this.#settings = settings;
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedBytes;
  }

  get openStreams(): number {
    return this.#streams.size;
  }

  /** This end has closed it. */
  get left(): boolean {
    return this.#left;
  }

  /** From now on `events` hears what comes. */
  start(events: SessionEvents): void {
    this.#events = events;
    for (const data of this.#held) this.#take(data, events);
    this.#held = [];
    if (this.#end !== undefined) this.#ended(this.#end, events);
  }

  send(data: string | Uint8Array): boolean {
    return this.#socket.send(typeof data === "string" ? data : encodeMessage(data));
  }

  close(code: number, reason: string): void {
    if (this.#closing) return;
    this.#left = this.#closing = true;
    this.#loseStreams("node-lost", "this client was closed");
    this.#socket.close(code, reason);
  }

  /** Cuts the socket. */
  drop(reason: string): void {
    this.#verdict = { code: DROPPED, reason };
    this.#socket.terminate();
  }

  // --- From the socket ---

  received(data: string | Bytes): void {
    if (this.#events === undefined) this.#held.push(data);
    else this.#take(data, this.#events);
  }

  /** The socket has closed. */
  lost(code: number, reason: string): void {
    this.#end = { code, reason };
    if (this.#events !== undefined) this.#ended(this.#end, this.#events);
  }

  #ended(close: ClientClose, events: SessionEvents): void {
    const end = this.#verdict ?? close;
    this.#closing = true;
    this.#loseStreams("node-lost", `the connection closed with ${end.code} ${end.reason}`.trimEnd());
    events.ended(this.#redirect === undefined ? end : { ...end, redirect: this.#redirect });
  }

  // --- Frames ---

  #take(data: string | Bytes, events: SessionEvents): void {
    if (this.#closing) return;
    if (typeof data === "string") return events.message(data);
    try {
      this.#frame(decodeToClient(data), events);
    } catch (thrown) {
      this.#refuse(reasonOf(thrown));
    }
  }

  #frame(frame: ToClient, events: SessionEvents): void {
    switch (frame.kind) {
      case "message":
        return events.message(frame.payload);
      case "goodbye":
        return this.#depart(frame.redirect);
      case "hello":
        throw new FlotillaError("malformed", "read a binary message: a second hello");
      case "open": {
        const { stream } = frame;
        if (this.#streams.has(stream)) {
          throw new FlotillaError("malformed", `read a binary message: stream ${stream} is open already`);
        }
        const incoming = this.#incoming(frame);
        this.#streams.set(stream, incoming);
        if (!events.stream(incoming)) incoming.cancel("nobody listens for streams");
        return;
      }
      case "data":
        // One that is not known was cancelled, and the node has not heard of it yet.
        return this.#streams.get(frame.stream)?.data(frame.payload);
      case "end":
        return this.#streams.get(frame.stream)?.end(frame.bytes, frame.digest);
      case "abort": {
        const incoming = this.#streams.get(frame.stream);
        this.#streams.delete(frame.stream);
        return incoming?.fail(errorCodeOf(frame.code), frame.message);
      }
    }
  }

  /** The node leaves, and takes what was sent before the socket closes. */
  #depart(redirect: string | null): void {
    this.#redirect = redirect ?? undefined;
    this.#verdict = { code: CLOSE.leaving, reason: "the node leaves" };
    this.#closing = true;
    this.#loseStreams("node-lost", "the node leaves");
    this.#socket.close(CLOSE.normal, "");
  }

  #incoming({ stream, head }: Extract<ToClient, { kind: "open" }>): Incoming {
    const last = (frame: Bytes): void => {
      this.#streams.delete(stream);
      this.#socket.send(frame);
    };
    const port = {
      credit: (bytes: number, chunks: number) => void this.#socket.send(encodeCredit(stream, bytes, chunks)),
      cancelled: (reason: string) => last(encodeCancel(stream, reason)),
      finished: () => last(encodeFinished(stream)),
    };
    return new Incoming(stream, head, port, this.#settings);
  }

  #refuse(problem: string): void {
    this.#verdict = { code: CLOSE.protocolError, reason: problem };
    this.#closing = true;
    this.#settings.logger.warn("the node broke the protocol and is left", { reason: problem });
    this.#loseStreams("malformed", problem);
    this.#socket.close(CLOSE.protocolError, problem);
  }

  #loseStreams(code: ErrorCode, problem: string): void {
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    for (const stream of streams) stream.fail(code, problem);
  }
}
