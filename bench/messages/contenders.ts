/** All contenders by name; each is loaded only where it runs. */
import type { Contender } from "./contract.ts";

const CONTENDERS: Readonly<Record<string, () => Promise<Contender>>> = {
  "flotilla": async () => (await import("./flotilla.ts")).flotilla,
  "flotilla sealed": async () => (await import("./flotilla.ts")).flotillaSealed,
  "relay": async () => (await import("./relay.ts")).relay,
  "socket.io": async () => (await import("./socket_io.ts")).socketIo,
};

export const CONTENDER_NAMES: readonly string[] = Object.keys(CONTENDERS);

export async function contenderNamed(name: string): Promise<Contender> {
  const load = CONTENDERS[name];
  if (load === undefined) throw new Error(`there is no contender ${name}`);
  return await load();
}
