/** Points in time as people write them: 'YYYY-MM-DD', 'YYYY-MM-DD hh:mm:ss', with a fraction; local time, or with Z in UTC. */

const PATTERN = /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[ T](\d{1,2}):(\d{2}):(\d{2})(?:\.(\d{1,3}))?(Z)?)?$/;

/** Milliseconds since 1970; undefined when it is no such text. */
export function parseDateTime(text: string): number | undefined {
  const match = PATTERN.exec(text.trim());
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0));
  const fraction = Number((match[7] ?? "0").padEnd(3, "0"));
  const parts = [year!, month! - 1, day!, hour!, minute!, second!, fraction] as const;
  const utc = Date.UTC(...parts);
  const ms = match[8] === undefined ? new Date(...parts).getTime() : utc;
  // 31 February would be a day in March.
  const shown = new Date(utc);
  const exists = shown.getUTCMonth() === month! - 1 && shown.getUTCDate() === day && shown.getUTCHours() === hour;
  return exists && Number.isFinite(ms) ? ms : undefined;
}
