// Promises that reject with nobody listening: on a host they would end the broker, so they fail the run.

type Listener = (event: unknown) => void;

interface HostEvents {
  addEventListener?(type: string, listener: Listener): void;
  removeEventListener?(type: string, listener: Listener): void;
  process?: {
    on(type: string, listener: Listener): void;
    off(type: string, listener: Listener): void;
  };
}

/** @returns Stops listening. */
export function catchUnhandled(onError: (error: unknown) => void): () => void {
  const host = globalThis as unknown as HostEvents;
  if ("Deno" in globalThis) {
    const listener = (event: unknown) => {
      const rejection = event as { readonly reason: unknown; preventDefault(): void };
      rejection.preventDefault();
      onError(rejection.reason);
    };
    host.addEventListener?.("unhandledrejection", listener);
    return () => host.removeEventListener?.("unhandledrejection", listener);
  }
  host.process?.on("unhandledRejection", onError);
  return () => host.process?.off("unhandledRejection", onError);
}
