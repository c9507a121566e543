/**
 * Opens client WebSockets: the runtime's own on Bun, the `ws` package's on Deno and Node.
 *
 * Deno's own client leaves Nagle's algorithm on (a small write waits up to 40 ms for the answer to the one before it)
 * and writes a message above 1,024 bytes in two pieces, so that every such message waits. Node's own cannot be cut: a
 * socket whose other side has fallen silent keeps its descriptor, and the process, until the system gives up.
 *
 * The package reads the environment, which on Deno takes a permission: where that is not granted already Deno's own
 * client serves, with that delay. To import the package there would stop the whole process at a prompt, on a terminal.
 */
import type { StandardWebSocket } from "./standard_socket.ts";

export interface ClientWebSocketOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly protocols: readonly string[];
  /**
   * Masks are to hide from machines in between what the bytes are (RFC 6455, 10.3). Where there are none a mask of
   * zeros saves a copy and two passes over them: for the ws package; the runtimes' own mask by chance.
   */
  readonly zeroMask?: boolean | undefined;
}

export interface ClientWebSocket {
  readonly webSocket: StandardWebSocket;
  /** The socket holds a small write until the one before it is answered. */
  readonly holdsSmallWrites: boolean;
}

type Constructor = new (
  url: string,
  protocols: string[],
  options: {
    headers: Readonly<Record<string, string>>;
    perMessageDeflate: boolean;
    generateMask?: (mask: Uint8Array) => void;
  },
) => StandardWebSocket;

/** What of the runtimes' own is needed here. */
interface RuntimeGlobals {
  readonly Deno?: {
    readonly permissions: {
      querySync(wanted: { name: "env"; variable: string }): { readonly state: string };
    };
  };
  readonly Bun?: object;
}

/** The variable that the package reads when it is loaded. */
const VARIABLE_READ = "WS_NO_BUFFER_UTIL";

const { Deno: deno, Bun: bun } = globalThis as RuntimeGlobals;
let loading: Promise<Constructor | undefined> | undefined;

/** The ws package's client; undefined where it cannot be had. */
async function loadPackage(): Promise<Constructor | undefined> {
  const state = deno?.permissions.querySync({ name: "env", variable: VARIABLE_READ }).state ?? "granted";
  if (state !== "granted") return undefined;
  const fromNpm: string = "npm:ws@8.23.0";
  try {
    const module: { WebSocket: Constructor } = await import("ws").catch(() => import(fromNpm));
    return module.WebSocket;
  } catch {
    return undefined;
  }
}

/**
 * Makes a socket that begins to connect, and hands it to `take` in the turn in which it was made: some ends are told
 * as soon as that turn is over. Rejects, as the constructor throws, for a URL or protocol that cannot be.
 */
export async function openClientWebSocket(
  url: string,
  options: ClientWebSocketOptions,
  take: (client: ClientWebSocket) => void,
): Promise<void> {
  const { headers, protocols, zeroMask = false } = options;
  const Package = bun === undefined ? await (loading ??= loadPackage()) : undefined;
  if (Package !== undefined) {
    const masking = zeroMask ? { generateMask } : {};
    const webSocket = new Package(url, [...protocols], { headers, perMessageDeflate: false, ...masking });
    return take({ webSocket, holdsSmallWrites: false });
  }
  const webSocket = new WebSocket(url, { headers: { ...headers }, protocols: [...protocols] });
  take({ webSocket, holdsSmallWrites: deno !== undefined });
}

function generateMask(mask: Uint8Array): void {
  mask.fill(0);
}
