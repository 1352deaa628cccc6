// A member of a consumer group of the load: reads, writes down what it was given, and commits its positions. Each is a thread,
// and goes on until isStopping.
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

final class Member extends Thread implements ConsumerRebalanceListener {
  static final AtomicBoolean isStopping = new AtomicBoolean();
  static final AtomicLong seen = new AtomicLong();
  /** By "GROUP:TOPIC/PARTITION". */
  static final Map<String, AtomicLong> seenAt = new ConcurrentHashMap<>();
  static final Map<String, List<String>> topicsOf = new ConcurrentHashMap<>();
  private static final long COMMIT_EVERY_MS = 200;

  private final String group;
  private final String protocol;
  private final String isolation;
  private final List<String> topics;
  private KafkaConsumer<String, String> consumer;
  private final Map<TopicPartition, Long> committed = new HashMap<>();

  Member(String name, String group, String protocol, String isolation, List<String> topics) {
    super(name);
    this.group = group;
    this.protocol = protocol;
    this.isolation = isolation;
    this.topics = topics;
    topicsOf.put(group, topics);
  }

  static boolean reads(String group, String topic) {
    return topicsOf.get(group).contains(topic);
  }

  private void note(String kind, TopicPartition at, String more) {
    Load.note(kind + " " + System.currentTimeMillis() + " " + getName() + " " + group + " " + at.topic() + " " + at.partition() + more);
  }

  @Override
  public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
    long atMs = System.currentTimeMillis();
    for (TopicPartition each : partitions) {
      long position = -1; // not known
      try {
        position = consumer.position(each, Duration.ofSeconds(20));
      } catch (KafkaException e) {
        Load.complain(getName() + " position", e);
      }
      Load.note("j " + atMs + " " + getName() + " " + group + " " + each.topic() + " " + each.partition() + " " + position);
    }
  }

  @Override
  public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
    commit(partitions);
    for (TopicPartition each : partitions) end(each);
  }

  @Override
  public void onPartitionsLost(Collection<TopicPartition> partitions) {
    for (TopicPartition each : partitions) end(each);
  }

  private void end(TopicPartition at) {
    committed.remove(at);
    note("l", at, "");
  }

  /** What was handed over is done with, so the positions are what is committed. */
  private void commit(Collection<TopicPartition> partitions) {
    Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
    try {
      for (TopicPartition each : partitions) {
        long position = consumer.position(each, Duration.ofSeconds(10));
        if (!Long.valueOf(position).equals(committed.get(each))) next.put(each, new OffsetAndMetadata(position));
      }
      if (next.isEmpty()) return;
      long atMs = System.currentTimeMillis();
      consumer.commitSync(next, Duration.ofSeconds(10));
      next.forEach((at, offset) -> {
        committed.put(at, offset.offset());
        Load.note("O " + atMs + " " + System.currentTimeMillis() + " " + getName() + " " + group + " " + at.topic() + " " + at.partition() + " " + offset.offset());
      });
    } catch (KafkaException e) {
      Load.complain(getName() + " commit", e); // another owns it now, or nobody answers: it comes again
    }
  }

  @Override
  public void run() {
    Map<String, Object> config = Load.common();
    config.put("client.id", getName());
    config.put("group.id", group);
    config.put("group.protocol", protocol);
    if (protocol.equals("classic")) {
      config.put("session.timeout.ms", 10_000);
      config.put("heartbeat.interval.ms", 1000);
      config.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
    }
    config.put("isolation.level", isolation);
    config.put("auto.offset.reset", "earliest");
    config.put("enable.auto.commit", false);
    config.put("fetch.max.wait.ms", 200);
    consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
    Load.note("g " + group + " " + isolation);
    consumer.subscribe(topics, this);
    long nextCommitMs = 0;
    while (!isStopping.get()) {
      try {
        for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
          seen.incrementAndGet();
          seenAt.computeIfAbsent(group + ":" + record.topic() + "/" + record.partition(), k -> new AtomicLong()).incrementAndGet();
          note("r", new TopicPartition(record.topic(), record.partition()), " " + record.offset() + " " + Writers.nameOf(record.value()));
        }
        if (System.currentTimeMillis() >= nextCommitMs) {
          commit(consumer.assignment());
          nextCommitMs = System.currentTimeMillis() + COMMIT_EVERY_MS;
        }
      } catch (KafkaException e) {
        Load.complain(getName(), e);
        Writers.pause(100);
      }
    }
    commit(consumer.assignment());
    consumer.close();
  }
}
