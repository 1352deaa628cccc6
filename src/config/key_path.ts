// Paths of keys as messages write them, and back.

export type Path = readonly PropertyKey[];

/** `transports[0].options.listen`, `settings["log.dirs"]`. */
export function pathText(path: Path): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else if (/^[A-Za-z_$][\w$]*$/.test(String(step)))
      text += `${text === "" ? "" : "."}${String(step)}`;
    else text += text === "" ? String(step) : `[${JSON.stringify(step)}]`;
  }
  return text;
}
