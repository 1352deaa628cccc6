// Which values are secrets, by the name of their key: nothing prints them.

export const MASK = "***";

const SECRET_KEY =
  /(secrets?|passwords?|passphrases?|token|credentials?|private_?key(_?pem)?|(api|access)_?key|jaas\.config|keystore\.key)$/i;

/** What is shown of a value under `key`: text and numbers under a secret's key are not. */
export function masked(key: PropertyKey | undefined, value: unknown): unknown {
  const isShown = value === "" || (typeof value !== "string" && typeof value !== "number");
  return isShown || !isSecretKey(key) ? value : MASK;
}

/** Whether text under this key is a secret: "apiKey", "password", "ssl.key.password". */
export function isSecretKey(key: PropertyKey | undefined): boolean {
  return SECRET_KEY.test(String(key));
}
