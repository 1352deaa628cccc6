// What transactions read of the settings, each time anew: most may change while the broker runs. Units in the names.
// Kafka: TransactionStateManagerConfig, TransactionVersion.

export interface TransactionSettings {
  /** The finalized level of the feature transaction.version. */
  readonly version: number;
  /** transactional.id.expiration.ms */
  readonly idExpirationMs: number;
  /** transaction.abort.timed.out.transaction.cleanup.interval.ms */
  readonly timeoutCheckMs: number;
  /** transaction.remove.expired.transaction.cleanup.interval.ms */
  readonly expiryCheckMs: number;
}
