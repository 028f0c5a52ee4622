/**
 * `inspect checkpoint` and `inspect redo`: the two slots; the header of every redo file, and from the checkpoint on every
 * block header and every mini-transaction with its records, up to the end of the log or the first damage.
 */
import type { Disk } from "../../common/disk/disk.ts";
import { CorruptFile } from "../../common/errors.ts";
import { readU16, wordsOf } from "../bytes-view.ts";
import { slotOffset } from "../checkpoint-slot.ts";
import { PAGE_TYPE_NAMES } from "../page.ts";
import { BLOCK_HEADER_BYTES, BLOCK_PAYLOAD, BLOCK_SIZE, checksumHolds, NO_GROUP } from "../redo-block.ts";
import { redoFileName } from "../redo-files.ts";
import { RedoReader } from "../redo-reader.ts";
import {
  REDO_END_BYTES,
  REDO_HEADER_BYTES,
  REDO_NAMES,
  Redo,
  redoLength,
  redoPage,
  redoType,
  redoWhere,
} from "../redo-records.ts";
import { RedoRing } from "../redo-ring.ts";
import { FieldReader, type Show } from "./listing.ts";

/** Both checkpoint slots of `wal/redo.0`. */
export function showCheckpoints(disk: Disk, show: Show): void {
  const path = redoFileName(0);
  const file = disk.open(path, "read");
  for (const slot of [0, 1]) {
    const block = Buffer.alloc(BLOCK_SIZE);
    const offset = slotOffset(slot);
    file.read(offset, block);
    const title = `checkpoint slot ${slot}`;
    if (block.every((byte) => byte === 0)) {
      show({ path, offset, title: `${title}, never written`, fields: [] });
      continue;
    }
    const reader = new FieldReader(block, offset);
    const holds = checksumHolds(block, wordsOf(block), 0, BLOCK_SIZE);
    reader.hex(0, 4, "checksum", holds ? ", holds" : "");
    reader.text(4, 4, "magic");
    reader.number(8, 6, "number", (number) => (number % 2 === slot ? undefined : "not of this slot"));
    reader.number(14, 6, "lsn");
    reader.number(20, 4, "epoch");
    reader.number(24, 6, "epoch-start");
    reader.number(30, 6, "doublewrite-batch");
    reader.number(36, 4, "binlog-file");
    reader.number(40, 6, "binlog-durable");
    show({ path, offset, title, fields: reader.fields, ...damageUnless(holds, "the checksum does not hold") });
  }
  file.close();
}

export function damageUnless(isFine: boolean, damage: string): { damage?: string } {
  return isFine ? {} : { damage };
}

export function showRedo(disk: Disk, show: Show): void {
  showFileHeaders(disk, show);
  const ring = new RedoRing();
  try {
    ring.open(disk);
    const checkpoint = ring.readCheckpoint();
    const reader = new RedoReader(ring, checkpoint);
    let block = Math.floor(checkpoint.lsn / BLOCK_PAYLOAD) - 1;
    reader.each((bytes, from, to, lsn) => {
      const last = Math.floor((lsn - 1) / BLOCK_PAYLOAD);
      while (block < last) showBlock(ring, ++block, show);
      showGroup(ring, bytes, from, to, lsn, show);
    });
    const place = ring.placeOf(Math.floor(reader.lsn / BLOCK_PAYLOAD));
    show({ ...place, title: `end of the log at LSN ${reader.lsn}`, fields: [] });
  } catch (error) {
    if (!(error instanceof CorruptFile)) throw error;
    show({
      path: error.path,
      offset: error.offset,
      title: "the log cannot be read on",
      fields: [],
      damage: error.message,
    });
  }
  ring.close();
}

function showFileHeaders(disk: Disk, show: Show): void {
  let set = 1;
  for (let index = 0; disk.exists(redoFileName(index, set)); index++) {
    const path = redoFileName(index, set);
    const file = disk.open(path, "read");
    const block = Buffer.alloc(BLOCK_SIZE);
    file.read(0, block);
    file.close();
    const reader = new FieldReader(block, 0);
    const holds = checksumHolds(block, wordsOf(block), 0, BLOCK_SIZE);
    reader.hex(0, 4, "checksum", holds ? ", holds" : "");
    reader.text(4, 4, "magic");
    reader.number(8, 4, "version");
    reader.number(12, 4, "index");
    reader.number(16, 4, "files");
    reader.number(20, 4, "blocks-per-file");
    reader.raw(24, 8, "folder-id");
    const says = reader.number(32, 4, "set");
    if (index === 0) set = says;
    show({
      path,
      offset: 0,
      title: "redo file",
      fields: reader.fields,
      ...damageUnless(holds, "the checksum does not hold"),
    });
  }
}

function showBlock(ring: RedoRing, number: number, show: Show): void {
  const block = Buffer.alloc(BLOCK_SIZE);
  ring.read(number, block);
  const { path, offset } = ring.placeOf(number);
  const reader = new FieldReader(block, offset);
  const holds = checksumHolds(block, wordsOf(block), 0, BLOCK_SIZE);
  reader.hex(0, 4, "checksum", holds ? ", holds" : "");
  reader.number(4, 4, "epoch");
  reader.number(8, 6, "number", (n) => (n === number ? `LSN ${number * BLOCK_PAYLOAD}` : "of another lap"));
  reader.number(14, 2, "used");
  reader.number(16, 2, "first-group", (at) =>
    at === NO_GROUP ? "none starts here" : `LSN ${number * BLOCK_PAYLOAD + at}`,
  );
  reader.number(18, 6, "durable-before");
  show({
    path,
    offset,
    title: `block ${number}`,
    fields: reader.fields,
    ...damageUnless(holds, "the checksum does not hold"),
  });
}

/** A mini-transaction. Its bytes lie in the payloads of one or more blocks: `offset` is where a record starts. */
function showGroup(ring: RedoRing, bytes: Buffer, from: number, to: number, lsn: number, show: Show): void {
  const start = lsn - (to - from);
  const fields = [];
  for (let at = from; at < to; ) {
    const length = redoLength(bytes, at, to);
    const reader = new FieldReader(bytes, fileOffset(ring, start + at - from) - at);
    reader.add(at, length, REDO_NAMES[redoType(bytes, at)]!, meaning(bytes, at, length));
    fields.push(...reader.fields);
    at += length;
  }
  const place = ring.placeOf(Math.floor(start / BLOCK_PAYLOAD));
  show({ path: place.path, offset: fileOffset(ring, start), title: `mini-transaction LSN ${start} – ${lsn}`, fields });
}

function fileOffset(ring: RedoRing, lsn: number): number {
  const block = Math.floor(lsn / BLOCK_PAYLOAD);
  return ring.placeOf(block).offset + BLOCK_HEADER_BYTES + (lsn - block * BLOCK_PAYLOAD);
}

function meaning(bytes: Buffer, at: number, length: number): string {
  const type = redoType(bytes, at);
  if (type === Redo.END) return `all of it is replayed, or nothing (${REDO_END_BYTES} bytes)`;
  const where = redoWhere(bytes, at);
  const page = `page ${redoPage(bytes, at)}`;
  const content = readU16(bytes, at + 6);
  switch (type) {
    case Redo.INIT:
      return `${page} becomes an empty ${PAGE_TYPE_NAMES[where & 0xff] ?? "?"} page of level ${where >>> 8}`;
    case Redo.PATCH:
      return `${page} bytes ${where}–${where + content - 1}: ${hexOf(bytes, at + REDO_HEADER_BYTES, content)}`;
    case Redo.APPEND:
      return `${page} ${where} undo record${where === 1 ? "" : "s"}, ${content} bytes`;
    case Redo.FILL:
      return `${page} ${content} bytes of records`;
    case Redo.TRUNCATE:
      return `${page} from slot ${where} on`;
    default:
      return `${page} slot ${where}${length > REDO_HEADER_BYTES ? `, ${content} bytes` : ""}`;
  }
}

function hexOf(bytes: Buffer, at: number, length: number): string {
  const shown = bytes.subarray(at, at + Math.min(length, 16)).toString("hex");
  return length > 16 ? `${shown}…` : shown;
}
