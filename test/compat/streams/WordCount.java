// Kafka Streams counts words, exactly once, into a table with a compacted changelog, and tells what is in the table.
// Arguments: application id, state folder, topic in, topic out. Words in: "dump". Words out: "running" (each time it is), "restored
// STORE N", then for a dump "count WORD N" … "end", or "busy" while there is no table; "failed why" before it ends with code 3.
// It ends when standard input does.
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.Arrays;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.InvalidStateStoreException;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.ReadOnlyKeyValueStore;

public final class WordCount {
  private static final String STORE = "counts";

  private WordCount() {}

  private static synchronized void say(String line) {
    System.out.println(line);
    System.out.flush();
  }

  private static Properties config(String application, String folder) {
    Properties config = new Properties();
    config.put(StreamsConfig.APPLICATION_ID_CONFIG, application);
    config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, System.getenv("BOOTSTRAP"));
    config.put(StreamsConfig.STATE_DIR_CONFIG, folder);
    config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    config.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
    config.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    // Each single update is written on, so that every one of them can be counted.
    config.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
    config.put(StreamsConfig.RECONNECT_BACKOFF_MAX_MS_CONFIG, 200);
    config.put(StreamsConfig.REQUEST_TIMEOUT_MS_CONFIG, 4000);
    config.put(StreamsConfig.producerPrefix(ProducerConfig.TRANSACTION_TIMEOUT_CONFIG), 4000);
    config.put(StreamsConfig.producerPrefix(ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG), 6000);
    config.put(StreamsConfig.consumerPrefix(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG), 2000);
    config.put(StreamsConfig.consumerPrefix(ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG), 300);
    config.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
    return config;
  }

  private static StreamsBuilder topology(String in, String out) {
    StreamsBuilder builder = new StreamsBuilder();
    // Rolled and cleaned while it runs: what is restored from is compacted.
    Map<String, String> changelog = Map.of("cleanup.policy", "compact", "segment.ms", "1000", "min.cleanable.dirty.ratio", "0.01",
        "delete.retention.ms", "100");
    builder.stream(in, Consumed.with(Serdes.String(), Serdes.String()))
        .flatMapValues(line -> Arrays.asList(line.split(" ")))
        .groupBy((key, word) -> word, Grouped.with(Serdes.String(), Serdes.String()))
        .count(Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as(STORE)
            .withKeySerde(Serdes.String()).withValueSerde(Serdes.Long()).withLoggingEnabled(changelog))
        .toStream()
        .mapValues(String::valueOf)
        .to(out, Produced.with(Serdes.String(), Serdes.String()));
    return builder;
  }

  private static void dump(KafkaStreams streams) {
    StringBuilder text = new StringBuilder();
    try {
      ReadOnlyKeyValueStore<String, Long> counts =
          streams.store(StoreQueryParameters.fromNameAndType(STORE, QueryableStoreTypes.<String, Long>keyValueStore()));
      try (KeyValueIterator<String, Long> all = counts.all()) {
        while (all.hasNext()) {
          KeyValue<String, Long> each = all.next();
          text.append("count ").append(each.key).append(' ').append(each.value).append('\n');
        }
      }
      say(text + "end");
    } catch (InvalidStateStoreException e) {
      say("busy");
    }
  }

  public static void main(String[] args) throws IOException {
    KafkaStreams streams = new KafkaStreams(topology(args[2], args[3]).build(), config(args[0], args[1]));
    streams.setUncaughtExceptionHandler(e -> {
      say("failed " + String.valueOf(e).replace('\n', ' '));
      Runtime.getRuntime().halt(3);
      return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
    });
    streams.setStateListener((now, before) -> {
      if (now == KafkaStreams.State.RUNNING) say("running");
    });
    streams.setGlobalStateRestoreListener(new StateRestoreListener() {
      @Override
      public void onRestoreStart(TopicPartition partition, String store, long from, long to) {}

      @Override
      public void onBatchRestored(TopicPartition partition, String store, long end, long count) {}

      @Override
      public void onRestoreEnd(TopicPartition partition, String store, long count) {
        say("restored " + store + " " + count);
      }
    });
    streams.start();
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      if (line.equals("dump")) dump(streams);
    }
    Runtime.getRuntime().halt(0);
  }
}
