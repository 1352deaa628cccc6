// Which values are secrets, by the name of their key: nothing prints them.

export const MASK = "***";

const SECRET_KEY =
  /(secret|password|passphrase|token|credentials?|private_?key(_?pem)?|(api|access)_?key|jaas\.config|keystore\.key)$/i;

/** Whether text under this key is a secret: "apiKey", "password", "ssl.key.password". */
export function isSecretKey(key: PropertyKey | undefined): boolean {
  return SECRET_KEY.test(String(key));
}
