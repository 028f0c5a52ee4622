/**
 * Whether a folder that a real crash left is one of those that a model allows: looks for the choice that builds it. The
 * dimensions of a space are blocks, sizes and names that hardly touch each other, so they are decided one after the other,
 * each by what it brings nearest to the folder; only an exact fit counts.
 */
import type { DiskImage, FileImage } from "../lab/disk-image.ts";
import type { Moment, PersistenceModel } from "../lab/models/model.ts";
import { PAGE_BYTES } from "../lab/page-store.ts";
import type { StateSpace } from "../lab/state-space.ts";

const SECTOR_BYTES = 512;
/** A name that is missing, or too much, weighs more than any content. */
const NAME_WEIGHT = 2 ** 32;
const SIZE_WEIGHT = 2 ** 16;
const ROUNDS = 2;

/** Undefined when the model allows the folder; else what does not fit, of the nearest that it allows. */
export function misfit(model: PersistenceModel, moment: Moment, real: DiskImage): string | undefined {
  let best: { readonly distance: number; readonly text: string } | undefined;
  for (const space of model.spaces(moment)) {
    const nearest = nearestIn(space, real);
    if (nearest.distance === 0) return undefined;
    if (best === undefined || nearest.distance < best.distance) best = nearest;
  }
  return best?.text ?? "the model allows nothing here";
}

function nearestIn(space: StateSpace, real: DiskImage): { distance: number; text: string } {
  const choice = space.dimensions.map(() => 0);
  let distance = distanceOf(space.build(choice), real);
  for (let round = 0; round < ROUNDS && distance > 0; round++) {
    for (const [index, { values }] of space.dimensions.entries()) {
      if (distance === 0) break;
      const before = choice[index] ?? 0;
      let best = before;
      for (let value = 0; value < values.length; value++) {
        choice[index] = value;
        const tried = distanceOf(space.build(choice), real);
        if (tried >= distance) continue;
        distance = tried;
        best = value;
      }
      choice[index] = best;
    }
  }
  return { distance, text: distance === 0 ? "" : firstDifference(space.build(choice), real) };
}

/** How far two images are apart: names, then sizes, then sectors. Pages are interned: the same page is the same object. */
function distanceOf(a: DiskImage, b: DiskImage): number {
  let distance = 0;
  for (const [path, file] of a.entries) {
    const other = b.entries.get(path);
    if (!b.entries.has(path) || (file === undefined) !== (other === undefined)) distance += NAME_WEIGHT;
    else if (file !== undefined && other !== undefined) distance += fileDistance(file, other);
  }
  for (const path of b.entries.keys()) if (!a.entries.has(path)) distance += NAME_WEIGHT;
  return distance;
}

function fileDistance(a: FileImage, b: FileImage): number {
  let distance = a.size === b.size ? 0 : SIZE_WEIGHT;
  const pages = Math.max(a.pages.length, b.pages.length);
  for (let index = 0; index < pages; index++) {
    const [left, right] = [a.pages[index], b.pages[index]];
    if (left === right) continue;
    if (left === undefined || right === undefined) distance += PAGE_BYTES / SECTOR_BYTES;
    else distance += sectorsApart(left.bytes, right.bytes);
  }
  return distance;
}

function sectorsApart(a: Uint8Array, b: Uint8Array): number {
  let count = 0;
  for (let at = 0; at < PAGE_BYTES; at += SECTOR_BYTES) {
    if (Buffer.compare(a.subarray(at, at + SECTOR_BYTES), b.subarray(at, at + SECTOR_BYTES)) !== 0) count++;
  }
  return count;
}

function firstDifference(allowed: DiskImage, real: DiskImage): string {
  for (const [path, file] of real.entries) {
    const other = allowed.entries.get(path);
    if (!allowed.entries.has(path)) return `${path} is there`;
    if (file === undefined || other === undefined || fileDistance(file, other) === 0) continue;
    if (file.size !== other.size) return `${path} has ${file.size} B, and ${other.size} B would be allowed`;
    const page = file.pages.findIndex((bytes, index) => bytes !== other.pages[index]);
    return `${path} differs in its page ${page}`;
  }
  for (const path of allowed.entries.keys()) if (!real.entries.has(path)) return `${path} is missing`;
  return "";
}
