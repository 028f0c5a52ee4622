/** Files that are left out of a record, as the user names them: `*-shm`, `cache/*`. */

/** True for a file that matches one of the globs, by its name or by its path: it is not followed. */
export function isIgnored(globs: readonly string[], path: string): boolean {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return globs.some((glob) => {
    const pattern = globPattern(glob);
    return pattern.test(path) || pattern.test(name);
  });
}

function globPattern(glob: string): RegExp {
  const escaped = glob.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`);
}
