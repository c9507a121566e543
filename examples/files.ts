/** A file as a stream, each runtime's own way. */
import { stat } from "node:fs/promises";

interface RuntimeGlobals {
  readonly Deno?: typeof Deno;
  readonly Bun?: typeof Bun;
}

export interface OpenFile {
  readonly readable: ReadableStream<Uint8Array>;
  readonly bytes: number;
}

/** Rejects when there is no such file. */
export async function openFile(path: string): Promise<OpenFile> {
  const { size: bytes } = await stat(path);
  const { Deno, Bun } = globalThis as RuntimeGlobals;
  if (Deno !== undefined) return { readable: (await Deno.open(path)).readable, bytes };
  if (Bun !== undefined) return { readable: Bun.file(path).stream(), bytes };
  const { openAsBlob } = await import("node:fs");
  return { readable: (await openAsBlob(path)).stream(), bytes };
}
