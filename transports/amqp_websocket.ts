/** AMQP's bytes over a WebSocket, to a relay that has a TCP connection to the broker. */
import { systemClock } from "../src/lib/clock.ts";
import { dial } from "../src/lib/dial.ts";
import { FlotillaError } from "../src/lib/errors.ts";
import type { Socket, SocketEvents } from "../src/lib/socket.ts";
import type { Pipe, PipeEvents } from "./amqp_pipe.ts";

const DIAL_MS_MAX = 5_000;

/** See `OpenPipe`. */
export function openWebSocketPipe(url: string, events: PipeEvents, signal: AbortSignal): Promise<Pipe> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    let socket: Socket | undefined;
    const waiting: (() => void)[] = [];
    const sent = (): void => {
      for (const each of waiting.splice(0)) each();
    };
    const opened = (open: Socket): SocketEvents => {
      socket = open;
      resolve({
        send: (bytes) =>
          new Promise((done) => {
            // The socket keeps what it is given; the caller uses the bytes again.
            open.send(new Uint8Array(bytes));
            if (open.bufferedBytes === 0) done();
            else waiting.push(done);
          }),
        close: () => open.terminate(),
      });
      return {
        message(data) {
          if (typeof data !== "string") return events.data(data);
          events.closed("a relay of AMQP sends no text");
          open.terminate();
        },
        drain() {
          if (open.bufferedBytes === 0) sent();
        },
        close(code, reason) {
          sent();
          events.closed(`the WebSocket was closed: ${code} ${reason}`.trimEnd());
        },
      };
    };
    const failed = (reason: string): void => reject(new FlotillaError("node-lost", reason));
    const dialling = dial(url, { opened, failed }, { clock: systemClock, timeoutMs: DIAL_MS_MAX });
    signal.addEventListener("abort", () => {
      dialling.cancel();
      socket?.terminate();
      reject(signal.reason);
    }, { once: true });
  });
}
