import type { SocketAcceptor } from "../transport.ts";
import { errorResponse } from "./exchange.ts";
import type { ServedCluster } from "./serving.ts";
import { requestContext, type RouteContext, upgrade } from "./upgrade.ts";

/**
 * `GET <channelName>`: other nodes. Their handshake inside the socket proves who they are; here only what can
 * be no node is turned away: a browser's page (nodes send no `Origin`), and, in a cluster without a secret,
 * another machine.
 */
export function nodeRoute(cluster: ServedCluster, acceptor: SocketAcceptor): (c: RouteContext) => Response {
  const { secured, allowInsecure } = cluster.serving;
  return (c) => {
    const remote = requestContext(c)?.remote ?? { address: "", port: 0, loopback: false };
    if (c.req.header("origin") !== undefined) {
      cluster.countRejection("origin");
      return errorResponse(403, "unauthorized", "this path is for nodes, not for pages");
    }
    if (!secured && !allowInsecure && !remote.loopback) {
      cluster.countRejection("unauthorized");
      return errorResponse(
        403,
        "unauthorized",
        "without a cluster secret only nodes of this machine may connect",
      );
    }
    const address = `${remote.address}:${remote.port}`;
    const end = { address, private: remote.loopback, sameHost: remote.loopback };
    // The transport closes a path by its own, lower limit.
    return upgrade(c, (socket) => acceptor.accept(socket, end), { messageBytesMax: Number.MAX_SAFE_INTEGER });
  };
}
