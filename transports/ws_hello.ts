/**
 * The first message on a socket between nodes, each way, as JSON in a text frame; it may come again when the
 * sender knows more. All of it is only a claim: who is there is proven by the link layer, and the
 * addresses are used only after that.
 *
 * `{"flotilla":1,"nodeId":"a","instance":"0011223344556677","url":"ws://a:1","peers":[["b","ws://b:1"]]}`
 */
import { FlotillaError, reasonOf, shown } from "../src/lib/errors.ts";
import { isNodeId } from "../src/lib/ids.ts";
import { socketOrigin } from "./node_list.ts";

/** UTF-16 units of the longest hello taken, and about the longest sent. */
export const HELLO_LENGTH_MAX = 65_536;
/** Addresses in one hello. */
const HELLO_PEERS_MAX = 256;
const URL_LENGTH_MAX = 256;
const FORMAT = 1;

export interface Hello {
  readonly nodeId: string;
  /**
   * 16 hexadecimal digits, random for each transport: tells two sockets to one process from two processes.
   */
  readonly instance: string;
  /** Where the sender can be dialled: `ws://host:port`. */
  readonly url?: string;
  /** Other nodes whose identity the sender has proven, and where they can be dialled. */
  readonly peers: readonly (readonly [nodeId: string, url: string])[];
}

/** Leaves peers out, from the end, that would make it longer than a receiver takes. */
export function encodeHello(hello: Hello): string {
  const { nodeId, instance, url } = hello;
  const head = { flotilla: FORMAT, nodeId, instance, ...(url === undefined ? {} : { url }) };
  const peers: Hello["peers"][number][] = [];
  let length = JSON.stringify(head).length + 16;
  for (const peer of hello.peers.slice(0, HELLO_PEERS_MAX)) {
    length += JSON.stringify(peer).length + 1;
    if (length > HELLO_LENGTH_MAX) break;
    peers.push(peer);
  }
  return JSON.stringify({ ...head, peers });
}

/** @throws FlotillaError `malformed` */
export function decodeHello(text: string): Hello {
  if (text.length > HELLO_LENGTH_MAX) throw malformed(`its length is ${text.length}`);
  const { flotilla, nodeId, instance, url, peers } = parseObject(text);
  if (flotilla !== FORMAT) throw malformed(`its format is ${shown(flotilla)}`);
  if (!isNodeId(nodeId)) throw malformed(`its nodeId is ${shown(nodeId)}`);
  if (typeof instance !== "string" || !/^[0-9a-f]{16}$/.test(instance)) {
    throw malformed(`its instance is ${shown(instance)}`);
  }
  if (!Array.isArray(peers) || peers.length > HELLO_PEERS_MAX) {
    throw malformed("its peers are not a short list");
  }
  return {
    nodeId,
    instance,
    ...(url === undefined ? {} : { url: checkedUrl(url) }),
    peers: peers.map(checkedPeer),
  };
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return { ...value };
  } catch (thrown) {
    throw malformed(reasonOf(thrown));
  }
  throw malformed("it is not a JSON object");
}

function checkedPeer(peer: unknown): [string, string] {
  if (!Array.isArray(peer) || peer.length !== 2) throw malformed("a peer is not a pair");
  const [nodeId, url] = peer as unknown[];
  if (!isNodeId(nodeId)) throw malformed(`a peer's nodeId is ${shown(nodeId)}`);
  return [nodeId, checkedUrl(url)];
}

function checkedUrl(url: unknown): string {
  const origin = typeof url === "string" && url.length <= URL_LENGTH_MAX ? socketOrigin(url) : undefined;
  if (origin === undefined) throw malformed(`an address is ${shown(url)}`);
  return origin;
}

function malformed(why: string): FlotillaError {
  return new FlotillaError("malformed", `read a node's hello: ${why}`);
}
