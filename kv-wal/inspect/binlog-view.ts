/**
 * `inspect binlog`: every event of every file, header and body byte by byte, up to the end or to what is torn or damaged.
 * What the events mean as SQL is told by `twolog wal binlog`.
 */
import { toText } from "../../common/bytes.ts";
import type { Disk } from "../../common/disk/disk.ts";
import { CorruptFile } from "../../common/errors.ts";
import { BINLOG_INDEX_PATH, binlogPath, readBinlogIndex } from "../binlog/binlog-files.ts";
import { readBinlog } from "../binlog/binlog-reader.ts";
import { CHECKSUM_BYTES, EVENT_HEADER_BYTES, EVENT_NAMES, EventType, readQuery } from "../binlog/events.ts";
import { FieldReader, type Show } from "./listing.ts";

export function showBinlog(disk: Disk, show: Show): void {
  try {
    const numbers = readBinlogIndex(disk);
    const title = `index of ${numbers.length} file${numbers.length === 1 ? "" : "s"}`;
    show({ path: BINLOG_INDEX_PATH, offset: 0, title, fields: [] });
    for (const number of numbers) showFile(disk, binlogPath(number), show);
  } catch (error) {
    if (!(error instanceof CorruptFile)) throw error;
    show({ path: error.path, offset: error.offset, title: "cannot be read", fields: [], damage: error.message });
  }
}

function showFile(disk: Disk, path: string, show: Show): void {
  const file = disk.open(path, "read");
  const end = readBinlog(file, (type, buffer, at, eventEnd, position) => {
    const reader = new FieldReader(buffer, position - at);
    showEvent(reader, type, at, eventEnd);
    show({ path, offset: position, title: EVENT_NAMES[type] ?? `event of type ${type}`, fields: reader.fields });
  });
  const size = file.size();
  file.close();
  if (end.wholeTo < size) {
    const damage = `${size - end.wholeTo} bytes that are not a whole event`;
    show({ path, offset: end.wholeTo, title: "torn or damaged", fields: [], damage });
  } else if (end.position < size && !end.rotated) {
    show({ path, offset: end.position, title: "a transaction without its end", fields: [], damage: "no XID event" });
  }
}

function showEvent(reader: FieldReader, type: number, at: number, end: number): void {
  const body = at + EVENT_HEADER_BYTES;
  const bodyEnd = end - CHECKSUM_BYTES;
  reader.number(at, 4, "timestamp");
  reader.number(at + 4, 1, "type", (n) => EVENT_NAMES[n]);
  reader.number(at + 5, 4, "server-id");
  reader.number(at + 9, 4, "size");
  reader.number(at + 13, 4, "end-position");
  reader.hex(at + 17, 2, "flags");
  if (type === EventType.QUERY) {
    const { database, text } = readQuery(reader.bytes, at, end);
    reader.number(body, 4, "thread-id");
    reader.number(body + 4, 4, "execution-time");
    const textAt = bodyEnd - text.length;
    reader.add(body + 8, textAt - body - 8, "database", database === "" ? "-" : database);
    reader.add(textAt, text.length, "text", toText(text));
  } else if (type === EventType.XID) reader.number(body, 6, "xid");
  else if (type === EventType.ROTATE) {
    reader.number(body, 6, "position");
    reader.text(body + 8, bodyEnd - body - 8, "next-file");
  } else reader.add(body, bodyEnd - body, "body", `${bodyEnd - body} bytes`);
  reader.hex(bodyEnd, 4, "checksum", ", holds");
}
