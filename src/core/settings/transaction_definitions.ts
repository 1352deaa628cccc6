// The broker settings of transactions and of __transaction_state that have an effect here, as Kafka names them.
// Plain text, in the form that definitions.ts reads. Deviations from Kafka's defaults are said in the text.
// Kafka: TransactionStateManagerConfig, TransactionLogConfig. Texts are our own.

/** Settings of transactions that work, in the form that `readDefinitions` takes. */
export const TRANSACTION_SETTINGS_TEXT: string = `
add.partitions.to.txn.retry.backoff.max.ms int 100 [0..] high honoured
  For how long, in milliseconds, the first batch of a transaction waits for the end of the one before,
  by the newer protocol. After that its producer is told to try again.
add.partitions.to.txn.retry.backoff.ms int 20 [1..] high honoured
  How long such a batch waits, in milliseconds, before its coordinator is asked again.
transaction.abort.timed.out.transaction.cleanup.interval.ms int 10000 [1..] low honoured
  How often open transactions are looked at, in milliseconds: those that have had their time are
  aborted.
transaction.max.timeout.ms int 900000 [1..] high honoured
  Longest transaction timeout a producer may ask for, in milliseconds.
transaction.partition.verification.enable boolean true [] low dynamic-cluster honoured
  Whether a batch by the older protocol, before it begins a transaction in a partition, is held
  against what its producer has added. Without that a late batch can leave a transaction open for
  ever.
transaction.remove.expired.transaction.cleanup.interval.ms int 3600000 [1..] low honoured
  How often transactional ids that nobody uses any more are looked for, in milliseconds.
transaction.state.log.num.partitions int 50 [1..] high honoured
  Partitions of __transaction_state when it is made, which is when the first transactional id is
  asked for. Each is a coordinator of its own for the ids that fall on it; one is enough for a program
  that embeds a broker.
transaction.state.log.segment.bytes int 104857600 [1..] high honoured
  Segment size of __transaction_state when it is made, in bytes, at least 1 MiB. Small segments let it
  be compacted sooner, and loaded faster.
transaction.two.phase.commit.enable boolean false [] low honoured
  Whether producers may begin transactions without a timeout, which something else ends (KIP-939). The
  version of InitProducerId that asks for it is unstable in Kafka 4.3 and not offered, so that only a
  program that embeds the broker can.
transactional.id.expiration.ms int 604800000 [1..] high honoured
  A transactional id is forgotten after so many milliseconds without a change, unless a transaction is
  open. Its producer has to begin anew.
`;
