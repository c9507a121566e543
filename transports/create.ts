import type { ClusterTransport, TransportContext } from "../src/transport.ts";
import { parseNodeList } from "./node_list.ts";
import { WsTransport } from "./ws.ts";

/** Which transport, and what it must know. */
export interface TransportSettings {
  readonly transportType: "ws" | ClusterTransport;
  readonly nodes: readonly string[];
  readonly channelName: string;
  /** Where peers can dial this node: `ws://host:port`, as soon as that is known. */
  readonly advertise?: () => string | undefined;
}

/**
 * The transport that the options name; one that is given ready-made is returned as it is.
 *
 * @throws FlotillaError `invalid-option` for an entry of `nodes` that the transport cannot use.
 */
export function createTransport(settings: TransportSettings, context: TransportContext): ClusterTransport {
  const { transportType, channelName, advertise = () => undefined } = settings;
  if (transportType !== "ws") return transportType;
  const nodes = parseNodeList(settings.nodes, { self: context.nodeId, addressRequired: true });
  return new WsTransport({ nodes, channelName, advertise }, context);
}
