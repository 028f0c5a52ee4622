/**
 * Makes a failure small: fewer commands, then fewer losses, until nothing can be left out. Everything is tried by running
 * it again; the result is 1-minimal: without any single one of its parts it does not fail any more.
 */
import type { DiskImage } from "./disk-image.ts";
import { type Choice, type Dimension, operationLost, type StateSpace } from "./state-space.ts";

/** Does it still fail with these? May run another program, and take its time. */
export type StillFails<T> = (items: readonly T[]) => boolean | Promise<boolean>;

/**
 * Delta debugging (Zeller): leaves out halves, quarters, … of the list as long as that still fails. `items` itself fails.
 * The last round leaves out single items and finds none: the proof of 1-minimality.
 */
export async function minimiseList<T>(items: readonly T[], stillFails: StillFails<T>): Promise<T[]> {
  let list = [...items];
  for (let chunk = Math.ceil(list.length / 2); chunk >= 1; ) {
    let isSmaller = false;
    for (let from = 0; from < list.length; ) {
      const without = [...list.slice(0, from), ...list.slice(from + chunk)];
      if (without.length < list.length && (await stillFails(without))) {
        list = without;
        isSmaller = true;
      } else from += chunk;
    }
    if (chunk === 1 && !isSmaller) break;
    if (chunk > 1) chunk = Math.ceil(chunk / 2);
  }
  return list;
}

/**
 * Keeps as much as possible of what the state has lost: first what whole operations did, then dimension after dimension
 * becomes 0 where that still fails.
 */
export async function minimiseChoice(
  space: StateSpace,
  choice: Choice,
  stillFails: (image: DiskImage, choice: Choice) => boolean | Promise<boolean>,
): Promise<Choice> {
  const lossy = choice.flatMap((value, index) => (value > 0 ? [index] : []));
  const byOperation = new Map<number, number[]>();
  for (const index of lossy) {
    const operation = operationLost(space.dimensions[index] as Dimension, choice[index] as number);
    byOperation.set(operation, [...(byOperation.get(operation) ?? []), index]);
  }
  const withLosses = (indexes: readonly number[]): Choice =>
    choice.map((value, index) => (indexes.includes(index) ? value : 0));
  const fails = (indexes: readonly number[]): boolean | Promise<boolean> => {
    const next = withLosses(indexes);
    return stillFails(space.build(next), next);
  };
  const operations = await minimiseList([...byOperation.values()], (groups) => fails(groups.flat()));
  return withLosses(await minimiseList(operations.flat(), fails));
}
