import { FlotillaError } from "../../src/lib/errors.ts";

/** The code that `promise` rejects with. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => "resolved",
    (thrown) => thrown instanceof FlotillaError ? thrown.code : "other",
  );
}
