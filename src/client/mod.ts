/**
 * The SDK client alone, without the server half: what browsers load.
 *
 * @example
 * ```ts
 * import { connect } from "flotilla/client";
 *
 * const client = await connect("wss://example.org/ws?token=…");
 * client.on("message", (data) => console.log(data));
 * client.on("stream", async (stream) => console.log(stream.metadata, await stream.text()));
 * client.send("hello");
 * ```
 * @module
 */
export { connect } from "./connect.ts";
export type {
  ClientClose,
  ClientEvents,
  ConnectOptions,
  FlotillaClient,
  IncomingProgress,
  IncomingStream,
  WebSocketConstructor,
} from "./contract.ts";
export { type ErrorCode, FlotillaError } from "../lib/errors.ts";
export type { Unsubscribe } from "../lib/events.ts";
export type { LogFields, Logger } from "../lib/logger.ts";
