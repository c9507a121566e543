/** A client as a browser has it: a standard WebSocket that reads binary messages. */
export function connectPlainClient(
  clientUrl: string,
  connectionId: string,
  received: (payload: Uint8Array) => void,
): Promise<{ close(): void }> {
  const socket = new WebSocket(`${clientUrl}?id=${connectionId}`);
  socket.binaryType = "arraybuffer";
  socket.onmessage = (event: MessageEvent) => received(new Uint8Array(event.data as ArrayBuffer));
  return new Promise((resolve, reject) => {
    socket.onopen = () => resolve(socket);
    socket.onerror = () => reject(new Error(`connect a client to ${clientUrl}: it failed`));
  });
}
