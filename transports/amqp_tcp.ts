/** AMQP's bytes over TCP and TLS. */
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Pipe, PipeEvents } from "./amqp_pipe.ts";

export interface TcpEnd {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

/** See `OpenPipe`. */
export function openTcpPipe(
  { host, port, tls }: TcpEnd,
  events: PipeEvents,
  signal: AbortSignal,
): Promise<Pipe> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const socket = tls ? connectTls({ host, port, servername: host }) : connect({ host, port });
    // Otherwise a small write waits up to 40 ms for the answer to the one before it.
    socket.setNoDelay(true);
    let corked = false;
    const uncork = (): void => {
      corked = false;
      socket.uncork();
    };
    const pipe: Pipe = {
      send(bytes) {
        // What is sent in one turn leaves in one write.
        if (!corked) {
          corked = true;
          socket.cork();
          queueMicrotask(uncork);
        }
        return new Promise((sent) => void socket.write(bytes, () => sent()));
      },
      close: () => void socket.destroy(),
    };
    signal.addEventListener("abort", () => {
      pipe.close();
      reject(signal.reason);
    }, { once: true });
    let reason = "the connection was closed";
    socket.on(tls ? "secureConnect" : "connect", () => resolve(pipe));
    socket.on("data", (bytes: Uint8Array) => events.data(bytes));
    socket.on("end", pipe.close);
    socket.on("error", (error) => {
      reason = error.message;
      reject(error);
    });
    socket.on("close", () => events.closed(reason));
  });
}
