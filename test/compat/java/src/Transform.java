// Consume, transform, produce, in transactions: test/compat/transactions/worker.ts has the words. Records of a transaction that
// is meant to be aborted say so, so that whoever should not see them knows them.
import java.io.IOException;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

final class Transform {
  private static volatile boolean isStopping;

  private Transform() {}

  private static synchronized void say(String line) {
    System.out.println(line);
    System.out.flush();
  }

  private static void stopWithInput() {
    Thread stop = new Thread(() -> {
      try {
        while (System.in.read() >= 0) {}
      } catch (IOException e) {
        // as good as the end
      }
      isStopping = true;
    });
    stop.setDaemon(true);
    stop.start();
  }

  static void run(String[] args) {
    Map<String, String> o = new HashMap<>();
    for (String arg : args) o.put(arg.split("=", 2)[0], arg.split("=", 2)[1]);
    stopWithInput();
    Random random = new Random();
    Map<String, Object> common = Map.of("bootstrap.servers", System.getenv("BOOTSTRAP"), "client.id", o.get("id"),
        "reconnect.backoff.max.ms", 200, "request.timeout.ms", 4000);
    Map<String, Object> producing = new HashMap<>(common);
    producing.putAll(Map.of("transactional.id", o.get("id"), "transaction.timeout.ms", 15000, "max.block.ms", 20000,
        "delivery.timeout.ms", 10000, "linger.ms", 0));
    Map<String, Object> consuming = new HashMap<>(common);
    consuming.putAll(Map.of("group.id", o.get("group"), "isolation.level", "read_committed", "enable.auto.commit", false,
        "auto.offset.reset", "earliest", "max.poll.records", Integer.parseInt(o.get("batch")), "fetch.max.wait.ms", 100,
        "group.protocol", o.getOrDefault("protocol", "classic")));
    // By the other protocol these are the broker's to say.
    if (consuming.get("group.protocol").equals("classic")) consuming.putAll(Map.of("session.timeout.ms", 2000, "heartbeat.interval.ms", 300));
    try (KafkaProducer<String, String> producer = new KafkaProducer<>(producing, new StringSerializer(), new StringSerializer());
        KafkaConsumer<String, String> consumer = new KafkaConsumer<>(consuming, new StringDeserializer(), new StringDeserializer())) {
      producer.initTransactions();
      consumer.subscribe(List.of(o.get("in")));
      say("started");
      while (!isStopping) {
        ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(200));
        if (records.isEmpty()) continue;
        boolean aborts = random.nextInt(100) < Integer.parseInt(o.get("abort"));
        producer.beginTransaction();
        try {
          Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
          for (ConsumerRecord<String, String> r : records) {
            producer.send(new ProducerRecord<>(o.get("out"), r.partition(), r.key(), (aborts ? "a:" : "c:") + r.value()));
            offsets.put(new TopicPartition(r.topic(), r.partition()), new OffsetAndMetadata(r.offset() + 1));
          }
          producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
          if (aborts) producer.flush();
          Thread.sleep(random.nextInt(Integer.parseInt(o.get("pause")) + 1));
          if (aborts) {
            producer.abortTransaction();
            rewind(consumer);
          } else {
            producer.commitTransaction();
          }
          say((aborts ? "aborted " : "committed ") + records.count());
        } catch (KafkaException e) {
          say("note " + e);
          // Whatever it was: where even that fails, a new process has to begin.
          producer.abortTransaction();
          rewind(consumer);
        }
      }
    } catch (Exception e) {
      say("failed " + String.valueOf(e).replace('\n', ' '));
      System.exit(3);
    }
    System.exit(0);
  }

  /** Back to where the group stands. */
  private static void rewind(KafkaConsumer<String, String> consumer) {
    Set<TopicPartition> owned = consumer.assignment();
    Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(owned);
    for (TopicPartition each : owned) {
      OffsetAndMetadata at = committed.get(each);
      if (at == null) consumer.seekToBeginning(List.of(each));
      else consumer.seek(each, at.offset());
    }
  }

  /** Writes one record in a transaction, says "open", and ends without a word when standard input does. */
  static void open(String topic, int partition, String id) throws Exception {
    Map<String, Object> config = Map.of("bootstrap.servers", System.getenv("BOOTSTRAP"), "transactional.id", id, "transaction.timeout.ms", 300000);
    KafkaProducer<String, String> producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer());
    producer.initTransactions();
    producer.beginTransaction();
    producer.send(new ProducerRecord<>(topic, partition, null, "never-to-be-seen")).get();
    say("open");
    while (System.in.read() >= 0) {}
    Runtime.getRuntime().halt(0);
  }

  /** Prints "PARTITION OFFSET VALUE" for what a reader of that isolation sees of a topic, up to its end now. */
  static void show(String topic, String isolation) {
    Map<String, Object> config = Map.of("bootstrap.servers", System.getenv("BOOTSTRAP"), "isolation.level", isolation,
        "auto.offset.reset", "earliest", "fetch.max.wait.ms", 100);
    try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
      Collection<TopicPartition> all = consumer.partitionsFor(topic).stream().map(Transform::place).toList();
      Map<TopicPartition, Long> ends = consumer.endOffsets(all);
      consumer.assign(all);
      consumer.seekToBeginning(all);
      StringBuilder text = new StringBuilder();
      while (all.stream().anyMatch(each -> consumer.position(each) < ends.get(each))) {
        for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofMillis(200))) {
          text.append(r.partition()).append(' ').append(r.offset()).append(' ').append(r.value()).append('\n');
        }
      }
      System.out.print(text);
    }
  }

  /** Prints "TOPIC PARTITION OFFSET VALUE" for what a read_committed reader sees of topics, until standard input ends. */
  static void watch(List<String> topics) {
    stopWithInput();
    Map<String, Object> config = Map.of("bootstrap.servers", System.getenv("BOOTSTRAP"), "isolation.level", "read_committed",
        "auto.offset.reset", "none", "fetch.max.wait.ms", 200, "reconnect.backoff.max.ms", 200, "request.timeout.ms", 4000);
    try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
      List<TopicPartition> all = topics.stream().flatMap(topic -> consumer.partitionsFor(topic).stream()).map(Transform::place).toList();
      consumer.assign(all);
      for (TopicPartition each : all) consumer.seek(each, 0);
      say("watching");
      while (!isStopping) {
        StringBuilder text = new StringBuilder();
        for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofMillis(200))) {
          text.append(r.topic()).append(' ').append(r.partition()).append(' ').append(r.offset()).append(' ').append(r.value()).append('\n');
        }
        System.out.print(text);
        System.out.flush();
      }
    }
  }

  private static TopicPartition place(PartitionInfo info) {
    return new TopicPartition(info.topic(), info.partition());
  }
}
