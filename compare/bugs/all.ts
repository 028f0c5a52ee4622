/** Every seeded bug, by pitfall. */
import type { Bug } from "./bug.ts";
import { FILE_BUGS } from "./file-bugs.ts";
import { FORMAT_BUGS } from "./format-bugs.ts";
import { LAB_BUGS } from "./lab-bugs.ts";
import { LOGICAL_BUGS } from "./logical-bugs.ts";
import { ORDER_BUGS } from "./order-bugs.ts";

export const BUGS: readonly Bug[] = [...FILE_BUGS, ...FORMAT_BUGS, ...ORDER_BUGS, ...LOGICAL_BUGS, ...LAB_BUGS].sort(
  (a, b) => a.pitfall - b.pitfall,
);

/** Pitfalls that no seeded bug brings back, and why. */
export const NOT_SEEDED: Readonly<Record<string, readonly number[]>> = {
  "a wrong order of compare/orders brings it back (--orders)": [23, 32, 33, 38],
  "the engines have no such part yet (scripts, replicas, sets)": [30, 46, 50, 55],
  "only torn or zero-filled sectors show it; this bench's disks write a sector whole": [9, 10, 13, 15],
  "another guard of the engine makes it harmless: the bug alone changes nothing that can be seen": [14, 25],
  "shown as a claim: Redis's manifest has it, kv-aof's has seals (A15)": [11],
  "crashed at every operation of a rewrite instead (test/aof-rewrite.test.ts)": [6],
  "not separable as a wrapper around the engine's parts": [17, 18, 26, 37, 42, 44, 47, 49, 56, 60],
  "a rule for the lab as a whole, kept by enumeration and by immutable disk images": [69, 70],
};
