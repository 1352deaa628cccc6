// Which hosts are this machine alone: where decision 12 asks for no authentication, and where a browser's page
// must not get by a name of its own.

/** Whether only this machine can reach what listens on `host` (no brackets, no port). */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^(::ffff:)?127(\.\d{1,3}){3}$/.test(host);
}
