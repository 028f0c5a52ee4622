/**
 * `inspect binlog`: every event of every file, header and body byte by byte, up to the end or to what is torn or damaged.
 * What the events mean as SQL is told by `twolog wal binlog`.
 */
import type { Disk } from "../../common/disk/disk.ts";
import { CorruptFile } from "../../common/errors.ts";
import { BINLOG_INDEX_PATH, binlogPath, readBinlogIndex } from "../binlog/binlog-files.ts";
import { readBinlog } from "../binlog/binlog-reader.ts";
import { EVENT_NAMES } from "../binlog/events.ts";
import { showEventFields } from "./event-fields.ts";
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
    showEventFields(reader, type, at, eventEnd);
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
