import { ClusterRouter } from "./src/router/router.ts";
import { Outboxes } from "./src/connection/outboxes.ts";
import { systemClock } from "./src/lib/clock.ts";
import type { Links, LinkService, Session } from "./src/link/contract.ts";
class S { nodeId: string; incarnation = "x"; live = true; other: any; svc: any; inbox: any[] = []; bytes = [0,0,0]; frames=[0,0,0];
  constructor(n: string) { this.nodeId = n; }
  send(lane: any, port: any, frame: any) { this.bytes[lane]! += frame.length; this.frames[lane]!++; this.other.inbox.push([lane, frame]); return "sent" as const; }
  datagram() { return false } pendingBytes() { return 0 }
  pump() { const i = this.inbox; this.inbox = []; for (const [lane, frame] of i) this.svc.frame(this, lane, frame); return i.length; } }
const N = 10_000;
const make = (id: string, own: Set<string>, other: string) => {
  const handles = new Map<string, number>(); const byHandle = new Map<number, string>();
  for (let i = 0; i < N; i++) { handles.set(`conn-${i}`, i + 1); byHandle.set(i + 1, `conn-${i}`); }
  const outboxes = new Outboxes(systemClock);
  for (const c of own) outboxes.open(c, { onDrain: undefined, bufferedBytes: 0, send: () => true, close() {} });
  const directory = { lookup: (c: string) => { const h = handles.get(c); return h === undefined ? undefined : { nodeId: own.size ? id : other, handle: h, local: own.size > 0 } },
    resolve: () => Promise.resolve(undefined), localByHandle: (h: number) => byHandle.get(h), onRouteChange: () => () => {} };
  let svc: LinkService | undefined;
  const router = new ClusterRouter({ links: { register: (_: number, s: LinkService) => { svc = s } } as Pick<Links, "register">, directory, sockets: outboxes, clock: systemClock });
  return { router, svc: svc! };
};
const ids = Array.from({ length: N }, (_, i) => `conn-${i}`);
const a = make("a", new Set(), "b"), b = make("b", new Set(ids), "a");
const ab = new S("b"), ba = new S("a"); ab.other = ba; ba.other = ab; ab.svc = a.svc; ba.svc = b.svc;
a.svc.up!(ab as unknown as Session); b.svc.up!(ba as unknown as Session);
const payload = new Uint8Array(256);
const text = "x".repeat(256);
async function run(name: string, total: number, data: any, send: (i: number) => Promise<unknown>, per = 1) {
  const t = performance.now(); let tCall = 0, tOwn = 0, tAns = 0;
  ab.bytes.fill(0); ba.bytes.fill(0); ab.frames.fill(0); ba.frames.fill(0);
  for (let done = 0; done < total;) {
    const ps = []; let t0 = performance.now();
    for (let i = 0; i < 1000; i++, done++) ps.push(send(done));
    let t1 = performance.now(); tCall += t1 - t0;
    ba.pump(); await null; await null; let t2 = performance.now(); tOwn += t2 - t1;
    ab.pump(); await Promise.all(ps); tAns += performance.now() - t2;
  }
  const ms = performance.now() - t;
  console.log(`${name}: ${(total * per / ms).toFixed(0)} k/s; per call ns: call ${(tCall / total * 1e6).toFixed(0)}, owner ${(tOwn / total * 1e6).toFixed(0)}, answer+resolve ${(tAns / total * 1e6).toFixed(0)}; answer bytes per msg ${(ba.bytes[0]! / total).toFixed(3)}`);
}
for (let r = 0; r < 2; r++) {
  await run("remote binary", 300_000, payload, (i) => a.router.routeMessage(ids[i % N]!, payload));
  await run("remote text", 300_000, text, (i) => a.router.routeMessage(ids[i % N]!, text));
  await run("local binary", 300_000, payload, (i) => b.router.routeMessage(ids[i % N]!, payload));
  await run("remote to 100", 3_000, payload, () => a.router.deliver(ids.slice(0, 100), payload), 100);
}
console.log(a.router.inFlight);
a.router.stop(); b.router.stop();
