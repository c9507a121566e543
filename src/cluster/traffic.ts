import { CLOSE } from "../lib/close_codes.ts";
import type { Bytes } from "../lib/bytes.ts";
import type { DeliverOptions } from "../router/contract.ts";
import type { Outcome } from "../router/outcome.ts";
import type { ClusterRouter } from "../router/router.ts";
import type { StreamOptions, StreamResult } from "../stream/contract.ts";
import type { StreamData } from "../stream/cutter.ts";
import type { OutgoingStream } from "../stream/outgoing.ts";
import type { ClusterStreams } from "../stream/streams.ts";

/** What an application sends with: the calls of a node that its router and its streams answer. */
export abstract class Traffic {
  readonly #router: ClusterRouter;
  readonly #streams: ClusterStreams;

  constructor(router: ClusterRouter, streams: ClusterStreams) {
    this.#router = router;
    this.#streams = streams;
  }

  // --- Messages, to any connection of the cluster: see ClusterRouter ---

  deliver(
    connectionIds: readonly string[],
    data: string | Uint8Array,
    options?: DeliverOptions,
  ): Promise<Map<string, Outcome>> {
    return this.#router.deliver(connectionIds, data, options);
  }

  routeMessage(connectionId: string, data: string | Uint8Array, options?: DeliverOptions): Promise<boolean> {
    return this.#router.routeMessage(connectionId, data, options);
  }

  routeMessages(
    connectionIds: readonly string[],
    data: string | Uint8Array,
    options?: DeliverOptions,
  ): Promise<Map<string, boolean>> {
    return this.#router.routeMessages(connectionIds, data, options);
  }

  routeText(connectionId: string, text: string, options?: DeliverOptions): Promise<boolean> {
    return this.#router.routeText(connectionId, text, options);
  }

  routeTexts(
    connectionIds: readonly string[],
    text: string,
    options?: DeliverOptions,
  ): Promise<Map<string, boolean>> {
    return this.#router.routeTexts(connectionIds, text, options);
  }

  routeJson(connectionId: string, value: unknown, options?: DeliverOptions): Promise<boolean> {
    return this.#router.routeJson(connectionId, value, options);
  }

  routeJsons(
    connectionIds: readonly string[],
    value: unknown,
    options?: DeliverOptions,
  ): Promise<Map<string, boolean>> {
    return this.#router.routeJsons(connectionIds, value, options);
  }

  // --- Streams, to any connection of the cluster: see ClusterStreams ---

  routeStream(
    connectionId: string,
    readable: ReadableStream<StreamData>,
    options?: StreamOptions,
  ): Promise<boolean> {
    return this.#streams.routeStream(connectionId, readable, options);
  }

  routeStreams(
    connectionIds: readonly string[],
    readable: ReadableStream<StreamData>,
    options?: StreamOptions,
  ): Promise<Map<string, boolean>> {
    return this.#streams.routeStreams(connectionIds, readable, options);
  }

  deliverStream(
    connectionId: string,
    readable: ReadableStream<StreamData>,
    options?: StreamOptions,
  ): Promise<StreamResult> {
    return this.#streams.deliverStream(connectionId, readable, options);
  }

  deliverStreams(
    connectionIds: readonly string[],
    readable: ReadableStream<StreamData>,
    options?: StreamOptions,
  ): Promise<Map<string, StreamResult>> {
    return this.#streams.deliverStreams(connectionIds, readable, options);
  }

  openStream(connectionId: string, options?: StreamOptions): OutgoingStream {
    return this.#streams.openStream(connectionId, options);
  }

  clientFrame(connectionId: string, frame: Bytes): void {
    this.#streams.clientFrame(connectionId, frame);
  }

  closeConnection(connectionId: string, code: number = CLOSE.normal, reason = ""): Promise<boolean> {
    return this.#router.closeConnection(connectionId, code, reason);
  }
}
