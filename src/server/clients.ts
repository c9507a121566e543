import { encodeHello, encodeMessage, KIND, SUBPROTOCOL } from "../client_protocol.ts";
import type { Bytes } from "../lib/bytes.ts";
import { CLOSE, NOWHERE } from "../lib/close_codes.ts";
import { reasonOf } from "../lib/errors.ts";
import type { Socket, SocketEvents } from "../lib/socket.ts";
import type { ConnectionSink } from "../connection/sink.ts";
import type { RemoteAddress } from "./contract.ts";
import { errorResponse } from "./exchange.ts";
import { type Admission, identify } from "./identify.ts";
import { originAllowed } from "./origins.ts";
import type { RouteOptions, ServedCluster } from "./serving.ts";
import { requestContext, type RouteContext, upgrade, wantsWebSocket } from "./upgrade.ts";

/** Shared by all clients without any. */
const NO_TAGS: Readonly<Record<string, string>> = Object.freeze({});
/** What one client's messages may hold while `onMessage` works on them; a socket cannot be told to wait. */
const UNDONE_BYTES_MAX = 16 * 1_048_576;
/** What a message in work costs besides its bytes. */
const UNDONE_OVERHEAD_BYTES = 256;
/** No close frame came (RFC 6455, 7.1.5): the client is gone without a word. */
const VANISHED = 1006;

const NO_EVENTS: SocketEvents = { message() {}, drain() {}, close() {} };

/**
 * `GET /ws`: end users. Whoever may not connect is let in and closed at once, since a browser cannot read why
 * an upgrade was refused: 4001 with the reason (unauthorized, or an `?id=` that is not theirs), 1001 from a
 * node that leaves, 1011 when `authenticate` failed. Only a page of a foreign origin is refused plainly, with
 * 403.
 */
export function clientRoute(
  cluster: ServedCluster,
  options: RouteOptions,
): (c: RouteContext) => Promise<Response> {
  const { serving } = cluster;
  return async (c) => {
    const context = requestContext(c);
    const loopbackOnly = context?.loopbackOnly ?? false;
    const unguarded = options.authenticate === undefined;
    const { headers } = c.req.raw;
    const ownNameOnly = unguarded && loopbackOnly;
    const allowed = originAllowed(headers, options.origins ?? [], ownNameOnly) ||
      originAllowed(headers, pagesOfNodes(cluster), ownNameOnly);
    if (!allowed) {
      cluster.countRejection("origin");
      return errorResponse(403, "unauthorized", "pages of this origin may not connect");
    }
    const protocol = firstOffer(c);
    const limits = { messageBytesMax: serving.messageBytesMax, protocol };
    // Also answers what is no handshake, before anybody is asked who it is.
    if (!wantsWebSocket(c)) return upgrade(c, () => NO_EVENTS, limits);
    const idIsFree = loopbackOnly || serving.allowInsecure;
    const admission = await identify(c.req.raw, serving, options.authenticate, idIsFree);
    const endpoint = c.req.path;
    const isSdk = protocol === SUBPROTOCOL;
    return upgrade(
      c,
      (socket) => admit(cluster, options, admission, socket, { endpoint, isSdk, remote: context?.remote }),
      limits,
    );
  };
}

/** Where pages of this cluster's nodes come from: a node that leaves sends its clients to another one. */
function pagesOfNodes(cluster: ServedCluster): string[] {
  return cluster.view().nodes.flatMap(({ publicUrl }) =>
    publicUrl === null ? [] : [publicUrl.replace(/^ws/, "http")]
  );
}

/** How a client came. */
interface Arrival {
  readonly endpoint: string;
  /** It speaks what `client_protocol.ts` says. */
  readonly isSdk: boolean;
  readonly remote: RemoteAddress | undefined;
}

function admit(
  cluster: ServedCluster,
  options: RouteOptions,
  admission: Admission,
  socket: Socket,
  { endpoint, isSdk, remote }: Arrival,
): SocketEvents {
  if (!admission.admitted) {
    cluster.countRejection(admission.kind);
    socket.close(admission.code, admission.reason);
    return NO_EVENTS;
  }
  const { connectionId, ownId, tags = NO_TAGS } = admission;
  const goodbye = cluster.running ? cluster.serving.turnAway(endpoint, ownId ? connectionId : null) : NOWHERE;
  if (goodbye !== null) {
    socket.close(CLOSE.leaving, goodbye);
    return NO_EVENTS;
  }
  // Before anything else can be sent.
  if (isSdk) socket.send(encodeHello(connectionId, cluster.nodeId));
  const client = new Client(cluster, options, connectionId, socket, isSdk);
  cluster.registerConnection(connectionId, {
    endpoint,
    remoteAddress: remote === undefined ? null : shownAddress(remote),
    connectedAt: cluster.serving.clock.wallTime(),
    ownId,
    tags,
  }, client);
  return new ClientEvents(client);
}

/** What a client's socket tells; one object a client, since a node may have very many. */
class ClientEvents implements SocketEvents {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  message(data: string | Uint8Array<ArrayBuffer>): void {
    return this.#client.received(data) as void;
  }

  drain(): void {
    this.#client.onDrain?.();
  }

  close(code: number): void {
    this.#client.ended(code);
  }
}

/** One registered client, as the cluster reaches it. */
class Client implements ConnectionSink {
  onDrain: (() => void) | undefined = undefined;
  readonly envelope: ((message: Bytes) => Bytes) | undefined;
  readonly #cluster: ServedCluster;
  readonly #onMessage: RouteOptions["onMessage"];
  readonly #connectionId: string;
  readonly #socket: Socket;
  /** Of messages that `onMessage` has not done with. */
  #undoneBytes = 0;

  constructor(
    cluster: ServedCluster,
    options: RouteOptions,
    connectionId: string,
    socket: Socket,
    isSdk: boolean,
  ) {
    this.envelope = isSdk ? encodeMessage : undefined;
    this.#cluster = cluster;
    this.#onMessage = options.onMessage;
    this.#connectionId = connectionId;
    this.#socket = socket;
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedBytes;
  }

  send(data: string | Uint8Array<ArrayBuffer>): boolean {
    return this.#socket.send(data);
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  /** Whatever came from the client's socket. */
  received(data: string | Bytes): unknown {
    if (this.envelope === undefined || typeof data === "string") return this.message(data);
    if (data[0] === KIND.message) return this.message(data.subarray(1));
    try {
      this.#cluster.clientFrame(this.#connectionId, data);
    } catch (thrown) {
      this.#cluster.countRejection("bad-request");
      this.#socket.close(CLOSE.protocolError, reasonOf(thrown));
    }
  }

  /** One message of the client. Whatever `onMessage` throws or rejects with is counted and passed on. */
  message(data: string | Uint8Array<ArrayBuffer>): unknown {
    const weight = data.length + UNDONE_OVERHEAD_BYTES;
    if (this.#undoneBytes > UNDONE_BYTES_MAX) return this.#flooded();
    try {
      const returned = this.#onMessage?.(this.#connectionId, data, this.#cluster);
      if (!(returned instanceof Promise)) return;
      this.#undoneBytes += weight;
      return returned.finally(() => void (this.#undoneBytes -= weight)).catch((thrown) =>
        this.#failed(thrown)
      );
    } catch (thrown) {
      this.#failed(thrown);
    }
  }

  ended(code: number): void {
    if (code === CLOSE.tooLarge) this.#cluster.countRejection("too-large");
    if (code === VANISHED) this.#cluster.countRejection("vanished");
    this.#cluster.unregisterConnection(this.#connectionId, this);
  }

  #flooded(): void {
    if (this.#undoneBytes === Infinity) return;
    this.#undoneBytes = Infinity;
    this.#cluster.countRejection("flooding");
    this.#socket.close(CLOSE.flooding, "messages come faster than they are handled");
  }

  #failed(thrown: unknown): never {
    this.#cluster.countRejection("handler-failed");
    throw thrown;
  }
}

/** Browsers fail a connection whose offered subprotocols are all left unanswered. */
function firstOffer(c: RouteContext): string | undefined {
  const offer = c.req.header("sec-websocket-protocol")?.split(",")[0]?.trim();
  return offer === "" ? undefined : offer;
}

function shownAddress({ address, port }: RemoteAddress): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
