/** The fields of page 0 (space-header.ts). */
import { readU32, readU48 } from "../bytes-view.ts";
import { DATABASE_BYTES, DATABASES_AT, DATABASES_MAX } from "../space-header.ts";
import type { FieldReader } from "./listing.ts";

export function showSpaceFields(reader: FieldReader): void {
  reader.text(32, 4, "magic");
  reader.number(36, 4, "version");
  reader.number(40, 4, "page-size");
  reader.raw(44, 8, "folder-id");
  reader.hex(52, 4, "hash-seed");
  reader.number(56, 4, "pages");
  reader.number(60, 4, "first-free");
  reader.number(64, 4, "free-pages");
  reader.number(68, 4, "oldest-undo");
  reader.number(72, 4, "newest-undo");
  reader.number(76, 6, "id-limit");
  reader.number(82, 6, "prepared-up-to");
  reader.number(88, 6, "committed-up-to");
  reader.number(94, 1, "redo-is-first", (first) => (first === 1 ? "flush_log_at_trx_commit 1" : undefined));
  reader.number(96, 4, "marked-free");
  reader.number(112, 4, "binlog-file");
  reader.number(116, 6, "binlog-durable");
  reader.number(122, 6, "last-xid");
  for (let index = 0; index < DATABASES_MAX; index++) {
    const at = DATABASES_AT + DATABASE_BYTES * index;
    const id = readU32(reader.bytes, at);
    const keys = readU48(reader.bytes, at + 4);
    const expiring = readU48(reader.bytes, at + 10);
    // Databases that were never used say nothing.
    if (id === index && keys === 0 && expiring === 0) continue;
    reader.add(
      at,
      DATABASE_BYTES,
      `database ${index}`,
      `shows id ${id}; id ${index} has ${keys} keys, ${expiring} expire`,
    );
  }
}
