import { decodeFromClient } from "../client_protocol.ts";
import type { Outbox } from "../connection/outbox.ts";
import type { Bytes } from "../lib/bytes.ts";
import { FlotillaError } from "../lib/errors.ts";
import { outboxBehind, type RouteDirectory, type Sockets } from "../router/contract.ts";
import { ByteBudget } from "../router/byte_budget.ts";
import type { StreamsOptions } from "./contract.ts";
import { Outlet } from "./outlet.ts";
import type { StallWatch } from "./stall_watch.ts";

/** What all streams to this node's own connections share. */
export class Owner {
  readonly options: StreamsOptions;
  readonly watch: StallWatch;
  /** What they may hold together. */
  readonly budget: ByteBudget;
  readonly #directory: Pick<RouteDirectory, "localByHandle">;
  readonly #sockets: Sockets;
  /** Of connections with streams, or with something of streams in their outbox. */
  readonly #outlets = new Map<Outbox, Outlet>();
  #nextClientStream = 0;

  constructor(
    directory: Pick<RouteDirectory, "localByHandle">,
    sockets: Sockets,
    watch: StallWatch,
    options: StreamsOptions,
  ) {
    this.#directory = directory;
    this.#sockets = sockets;
    this.watch = watch;
    this.options = options;
    this.budget = new ByteBudget(options.nodeStreamBytesMax);
  }

  /** Connections that have streams, or something of streams in their outbox. */
  get size(): number {
    return this.#outlets.size;
  }

  /** The outbox of the connection behind one of this node's handles. */
  outbox(handle: number): Outbox | undefined {
    return outboxBehind(handle, this.#directory, this.#sockets);
  }

  /** The outlet of an open connection. */
  outlet(outbox: Outbox): Outlet {
    let outlet = this.#outlets.get(outbox);
    if (outlet === undefined) {
      const over = (): void => void this.#outlets.delete(outbox);
      outlet = new Outlet(outbox, this.options.connectionStreamBytesMax, over);
      this.#outlets.set(outbox, outlet);
    }
    return outlet;
  }

  /** Whether a stream goes to the connection just now. */
  isBusy(connectionId: string): boolean {
    const outbox = this.#sockets.get(connectionId);
    return outbox !== undefined && this.#outlets.has(outbox);
  }

  nextClientStream(): number {
    const stream = this.#nextClientStream;
    this.#nextClientStream = (stream + 1) >>> 0;
    return stream;
  }

  /**
   * What an SDK client says of its streams; of one that is over it is passed over.
   *
   * @throws FlotillaError `malformed` for what no SDK says.
   */
  clientFrame(connectionId: string, frame: Bytes): void {
    const said = decodeFromClient(frame);
    if (said.kind === "message") {
      throw new FlotillaError("malformed", "read a client's frame: it is a message");
    }
    const outbox = this.#sockets.get(connectionId);
    const stream = outbox && this.#outlets.get(outbox)?.framed.get(said.stream);
    if (stream === undefined) return;
    if (said.kind === "credit") stream.credited(said.bytes, said.chunks);
    else if (said.kind === "cancel") stream.cancelled(said.reason);
    else stream.finished();
  }
}
