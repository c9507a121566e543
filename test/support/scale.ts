import process from "node:process";

/** True for full counts (`npm run verify`), false for the reduced ones of `npm test`. */
export const full: boolean = process.env["FLOTILLA_FULL"] === "1";

/** How many: `reduced` in `npm test`, `wanted` in `npm run verify`. */
export function scale(reduced: number, wanted: number): number {
  return full ? wanted : reduced;
}
